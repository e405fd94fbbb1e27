//! What comes after the save: what is stored is looked at, for the page and the report, and with `gc` thinned out.
//!
//! Nobody waits long for it and nothing of it fails a job. That the token may not do something is told in one line: on the
//! page where nobody asked for more than that, in the log where `gc` did.

use std::{sync::Arc, time::Duration};

use crate::{
    commands::action::options::Options,
    console::Console,
    engine::{AfterJob, Holdings, Housekeeping, is_denied},
    environment::Environment,
    fail_open::{self, Trouble},
    report::{CollectionReport, RunReport, render_bytes},
    runner::{GitHubContext, scopes_of},
};

/// How long looking may take, with one wait that a server asks for.
const LOOKING_LIMIT: Duration = Duration::from_secs(30);
/// How much longer with deleting, of which a minute is spent at most between two requests.
const DELETING_LIMIT: Duration = Duration::from_secs(90);

/// Why somebody did not say.
enum Silence {
    /// Nobody is asked, without a token.
    Unasked,
    /// The token may not know.
    Denied(String),
    /// Something went wrong.
    Trouble(String),
}

/// Adds to `report` what is stored, and deletes what `report` says that newer entries took the place of, if that was asked for.
pub(super) fn after_save(
    report: RunReport,
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
) -> RunReport {
    let limit = if options.collects {
        LOOKING_LIMIT + DELETING_LIMIT
    } else {
        LOOKING_LIMIT
    };
    let found = fail_open::attempt_within("what is stored is not listed", limit, {
        let (options, environment) = (options.clone(), environment.clone());
        let report = report.clone();
        move || look(&report, &options, &environment)
    });
    let found = found.unwrap_or_else(|Trouble(text)| Err(Silence::Trouble(text)));
    match found {
        Ok(after) => tell(after, report, console),
        Err(silence) => told_without(silence, options, report, console),
    }
}

fn look(
    report: &RunReport,
    options: &Options,
    environment: &Environment,
) -> anyhow::Result<Result<AfterJob, Silence>> {
    let settings = &options.settings;
    let Some(holdings) = Holdings::of_job(settings, environment, options.token.as_ref())? else {
        return Ok(Err(Silence::Unasked));
    };
    let context = GitHubContext::read(environment);
    let housekeeping = options.collects.then(|| Housekeeping {
        scope: scopes_of(context.as_ref()).own().to_string(),
        max_bytes: settings.max_bytes,
    });
    Ok(holdings
        .after_job(report, housekeeping.as_ref())
        .map_err(|error| {
            if is_denied(&error) {
                Silence::Denied(error.to_string())
            } else {
                Silence::Trouble(format!("{error:#}"))
            }
        }))
}

fn tell(after: AfterJob, mut report: RunReport, console: &Console) -> RunReport {
    report.holdings = Some(after.holdings);
    let Some((collected, left)) = after.collected else {
        return report;
    };
    let denied = collected.was_denied();
    let trouble = collected.trouble.map(|error| format!("{error:#}"));
    match &trouble {
        Some(text) if denied => console.note(&format!("nothing more is deleted: {text}")),
        Some(text) => console.trouble(&format!("not everything was deleted: {text}")),
        None => {}
    }
    if collected.deleted.entries > 0 {
        console.line(&format!(
            "gc        {} deleted, {}",
            collected.deleted.entries,
            render_bytes(collected.deleted.bytes)
        ));
    }
    report.collected = Some(CollectionReport {
        deleted: collected.deleted,
        left,
        trouble,
    });
    report
}

fn told_without(
    silence: Silence,
    options: &Options,
    mut report: RunReport,
    console: &Console,
) -> RunReport {
    let nothing = "nothing is deleted";
    match silence {
        Silence::Unasked if options.collects => {
            console.note(&format!("{nothing}: there is no token to do it with"));
        }
        Silence::Unasked => {}
        Silence::Denied(why) => {
            if options.collects {
                console.note(&format!("{nothing}: {why}"));
            }
            report.holdings_unknown = Some(why);
        }
        Silence::Trouble(why) => {
            if options.collects {
                console.trouble(&format!("{nothing}: {why}"));
            } else {
                console.detail(&why);
            }
            report.holdings_unknown = Some(why);
        }
    }
    report
}
