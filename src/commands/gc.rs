//! `hotcrate gc`: deletes entries that are of no use any more.

use crate::{
    cli::GcArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt, refused, tell_plan},
    console::Console,
    deadline::Deadline,
    engine::{Holdings, is_denied},
    environment::Environment,
    inventory::{GcRequest, GcScope},
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
        tell_plan(&plan, &render_gc_plan(&plan), arguments.json, settings)?;
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
