//! Which store a run uses, by the `store` setting and by what the runner hands down.
//!
//! Opening one asks nobody anything: a service that is not there shows when the first entry is looked up.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    archive,
    console::{self, Console},
    environment::Environment,
    key::DigestBuilder,
    platform_directory,
    policy::CacheMode,
    project::Project,
    runner::{GitHubContext, scopes_of},
    settings::{Settings, StoreChoice},
    store::{
        ActionsOptions, ActionsStore, DirOptions, DirStore, Limits, ServiceAddress, Store,
        identity_of,
    },
    time_limits::TimeLimits,
};

/// Opens the store.
pub(super) fn open_store(
    settings: &Settings,
    environment: &Environment,
    console: &Console,
    project: &Project,
    github: Option<&GitHubContext>,
) -> anyhow::Result<Box<dyn Store>> {
    let service = match (&settings.store, github) {
        (StoreChoice::Actions, _) => Some(ServiceAddress::read(environment)?),
        (StoreChoice::Auto, Some(_)) => match ServiceAddress::read(environment) {
            Ok(service) => Some(service),
            Err(error) => {
                console.notice(&format!("entries are kept on this machine only: {error}"));
                None
            }
        },
        (StoreChoice::Auto, None) | (StoreChoice::Directory(_), _) => None,
    };
    match service {
        Some(service) => open_service(service, &settings.time_limits, environment, github),
        None => open_directory(settings, environment, project, github),
    }
}

/// Whether that is a cache service, and not a directory.
pub(super) fn is_service(
    settings: &Settings,
    environment: &Environment,
    github: Option<&GitHubContext>,
) -> bool {
    match settings.store {
        StoreChoice::Actions => true,
        StoreChoice::Auto => github.is_some() && ServiceAddress::read(environment).is_ok(),
        StoreChoice::Directory(_) => false,
    }
}

fn open_service(
    service: ServiceAddress,
    time_limits: &TimeLimits,
    environment: &Environment,
    github: Option<&GitHubContext>,
) -> anyhow::Result<Box<dyn Store>> {
    let mut options = ActionsOptions::new(service, format_digest());
    options.limits = Limits {
        connect: time_limits.connect,
        call: time_limits.call,
        stall: time_limits.stall,
        ..Limits::default()
    };
    options.cache_mode = CacheMode::parse(environment.text("ACTIONS_CACHE_MODE"));
    if github.is_some() {
        options.mask = console::mask;
    }
    Ok(Box::new(ActionsStore::open(options, environment)?))
}

/// What keeps releases apart that can't read each other's archives, and no others.
fn format_digest() -> String {
    let (name, version) = archive::FORMAT;
    let mut builder = DigestBuilder::new();
    builder.field("format", name);
    builder.field("version", version.to_string());
    builder.finish().to_string()
}

fn open_directory(
    settings: &Settings,
    environment: &Environment,
    project: &Project,
    github: Option<&GitHubContext>,
) -> anyhow::Result<Box<dyn Store>> {
    let directory = directory(settings, environment)?;
    let names = project
        .workspaces
        .iter()
        .flat_map(|workspace| &workspace.members)
        .map(|member| member.name.as_str());
    let store = DirStore::open(DirOptions {
        directory,
        project: identity_of(&settings.project, environment, names),
        scopes: scopes_of(github),
        max_bytes: settings.max_bytes,
        lock_wait: DirStore::DEFAULT_LOCK_WAIT,
    })?;
    Ok(Box::new(store))
}

/// The directory that entries live in, where they live in one.
pub(super) fn directory(settings: &Settings, environment: &Environment) -> anyhow::Result<PathBuf> {
    let given = match &settings.store {
        StoreChoice::Directory(given) => given.clone(),
        StoreChoice::Auto | StoreChoice::Actions => None,
    };
    given
        .or_else(|| platform_directory::cache(environment))
        .context("failed to find a directory for the store: neither HOME nor its like is set, and no --store is given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_tells_entries_apart_by_the_format_alone() {
        insta::assert_snapshot!(format_digest(), @"397bf2e90be256bb92ebed2d0dcc3f5b31a6fc730dafd16d78673459fbc65c03");
    }
}
