//! `hotcrate gc`: deletes entries that are of no use any more.

use std::io::{self, Write as _};

use crate::{
    cli::GcArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt, refused},
    console::Console,
    deadline::Deadline,
    engine::{Holdings, is_denied},
    environment::Environment,
    inventory::{GcPlan, GcRequest, GcScope},
    report::{render_bytes, render_gc_plan},
    repository_settings::RepositorySettings,
    settings::{FailureMode, Settings},
};

/// Plans, tells the plan, and unless it is only asked for carries it out. A token that may not do that is no failure: one
/// line says so, and everything stays.
pub(super) fn gc(
    arguments: &GcArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let about = match RepositorySettings::check(&arguments.repo, "") {
        Ok(checked) => checked,
        Err(error) => return refused(console, &error),
    };
    let request = GcRequest {
        scope: match arguments.prefix.as_str() {
            "" => GcScope::Own,
            prefix => GcScope::Prefix(prefix.to_owned()),
        },
        max_bytes: settings.max_bytes,
    };
    let done = attempt(console, "not everything was deleted", || {
        let holdings = Holdings::find(
            settings,
            environment,
            about.repository.as_ref(),
            about.quota,
        )?;
        let plan = match holdings.plan_gc(&request) {
            Err(error) if is_denied(&error) => {
                console.note(&format!("nothing is deleted: {error:#}"));
                return Ok(());
            }
            plan => plan?,
        };
        tell(&plan, arguments, settings)?;
        if arguments.dry_run {
            return Ok(());
        }
        let mut collected = holdings.apply(&plan, Deadline::never(), |entry| {
            console.detail(&format!("deleted {}", entry.key));
        });
        if collected.was_denied() {
            let why = collected.trouble.take();
            console.note(&format!(
                "nothing more is deleted: {:#}",
                why.unwrap_or_else(|| anyhow::anyhow!("no permission"))
            ));
        }
        console.line(&format!(
            "deleted {} of {} entries, {}",
            collected.deleted.entries,
            plan.freed.entries,
            render_bytes(collected.deleted.bytes)
        ));
        collected.trouble.map_or(Ok(()), Err)
    });
    match done {
        Some(()) => STATUS_SUCCESS,
        None if settings.failure_mode == FailureMode::Open => STATUS_SUCCESS,
        None => STATUS_FAILURE,
    }
}

fn tell(plan: &GcPlan, arguments: &GcArguments, settings: &Settings) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(plan)?;
    if let Some(path) = &settings.report {
        fs_err::write(path, &json)?;
    }
    let mut text = if arguments.json {
        json
    } else {
        render_gc_plan(plan).join("\n")
    };
    text.push('\n');
    let _closed_pipe = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}
