//! Whether to use sccache, and which.
//!
//! Pure: decided from the setting, the environment and what configuration files say.

use std::path::PathBuf;

use toml::Table;

use super::WRAPPED;
use crate::environment::Environment;

/// The `sccache` setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SccacheSetting {
    /// Use it if it is on PATH.
    Auto,
    /// Use it: the one on PATH, or a published release.
    On,
    /// Do not use it.
    Off,
    /// Use this program. Absolute.
    At(PathBuf),
}

/// Where to take the program from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is here.
    Program(PathBuf),
    /// The published release that this hotcrate knows.
    Release,
}

/// Whether to use sccache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Use it.
    Use(Source),
    /// Do not.
    Leave(NotUsed),
}

/// Why sccache is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUsed {
    /// The user said so.
    #[error("it is switched off")]
    Setting,
    /// The setting is `auto`, and there is none.
    #[error("it is not on PATH")]
    NotOnPath,
    /// Another hotcrate, in which this one runs or before which it ran, has it in use.
    #[error("it is in use already, by another hotcrate")]
    InUseAlready,
    /// The user has a wrapper.
    #[error("{place} sets a wrapper of your own, {wrapper}")]
    Wrapper {
        /// The variable, or the file and its key.
        place: String,
        /// The wrapper.
        wrapper: String,
    },
    /// The user wraps the compiler of the workspace's members: sccache refuses compilers that it does not know.
    #[error("{place} sets a compiler wrapper for workspace members")]
    WorkspaceWrapper {
        /// The variable, or the file and its key.
        place: String,
    },
    /// The user has a remote cache, or a distributed build.
    #[error("{place} sets up an sccache of your own")]
    OwnCache {
        /// The variable, or the file and its key.
        place: String,
    },
    /// sccache refuses to compile at all.
    #[error("{place} switches incremental compilation on, which sccache refuses")]
    Incremental {
        /// The variable.
        place: String,
    },
    /// Something is missing or does not work, in words.
    #[error("{0}")]
    Unusable(String),
}

impl NotUsed {
    /// Whether the user should hear of it: not of what was asked for, and not that there is none where none is needed.
    pub fn is_news(&self) -> bool {
        !matches!(self, Self::Setting | Self::NotOnPath | Self::InUseAlready)
    }
}

/// What the choice depends on besides the environment.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// Cargo's configuration files that hold for the project, with their labels, the closest first.
    pub cargo_config: Vec<(&'a str, &'a Table)>,
    /// The sccache on PATH, if there is one.
    pub on_path: Option<PathBuf>,
    /// sccache's own configuration file, with its path for people.
    pub own_config: Option<(String, Table)>,
}

/// Variables that set a wrapper of every rustc call.
const WRAPPERS: [&str; 2] = ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"];
/// Variables that set a wrapper for members of the workspace.
const WORKSPACE_WRAPPERS: [&str; 2] = [
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
];
/// Variables at whose value 1 sccache ends with an error.
const INCREMENTAL: [&str; 2] = ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"];
/// How the names of variables begin that choose another cache than the local disk, or another machine to compile on.
const OWN_CACHES: [&str; 13] = [
    "SCCACHE_BUCKET",
    "SCCACHE_ENDPOINT",
    "SCCACHE_S3_",
    "SCCACHE_REDIS",
    "SCCACHE_MEMCACHED",
    "SCCACHE_GCS_",
    "SCCACHE_GHA_",
    "SCCACHE_AZURE_",
    "SCCACHE_WEBDAV_",
    "SCCACHE_OSS_",
    "SCCACHE_COS_",
    "SCCACHE_MULTILEVEL_",
    "SCCACHE_DIST_",
];

/// Decides whether to use sccache.
pub fn choose(
    setting: &SccacheSetting,
    environment: &Environment,
    surroundings: &Surroundings<'_>,
) -> Choice {
    let source = match (setting, &surroundings.on_path) {
        (SccacheSetting::Off, _) => return Choice::Leave(NotUsed::Setting),
        (SccacheSetting::At(path), _) | (SccacheSetting::Auto | SccacheSetting::On, Some(path)) => {
            Source::Program(path.clone())
        }
        (SccacheSetting::Auto, None) => return Choice::Leave(NotUsed::NotOnPath),
        (SccacheSetting::On, None) => Source::Release,
    };
    match obstacle(environment, surroundings) {
        Some(reason) => Choice::Leave(reason),
        None => Choice::Use(source),
    }
}

fn obstacle(environment: &Environment, surroundings: &Surroundings<'_>) -> Option<NotUsed> {
    let set = |names: &[&'static str]| {
        names
            .iter()
            .find_map(|name| Some((*name, environment.os(name)?.to_string_lossy().into_owned())))
    };
    if environment.os(WRAPPED).is_some() {
        return Some(NotUsed::InUseAlready);
    }
    if let Some((name, wrapper)) = set(&WRAPPERS) {
        let place = name.to_owned();
        return Some(NotUsed::Wrapper { place, wrapper });
    }
    if let Some((name, _)) = set(&WORKSPACE_WRAPPERS) {
        let place = name.to_owned();
        return Some(NotUsed::WorkspaceWrapper { place });
    }
    if let Some((name, _)) = INCREMENTAL
        .iter()
        .find_map(|name| set(&[*name]).filter(|(_, value)| value == "1"))
    {
        let place = name.to_owned();
        return Some(NotUsed::Incremental { place });
    }
    let own_cache = environment
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .find(|(name, _)| OWN_CACHES.iter().any(|cache| name.starts_with(cache)));
    if let Some((name, _)) = own_cache {
        let place = name.to_owned();
        return Some(NotUsed::OwnCache { place });
    }
    surroundings
        .cargo_config
        .iter()
        .find_map(|(label, config)| in_cargo_config(label, config))
        .or_else(|| {
            let (path, config) = surroundings.own_config.as_ref()?;
            in_own_config(path, config)
        })
}

fn in_cargo_config(label: &str, config: &Table) -> Option<NotUsed> {
    let build = config.get("build")?;
    let value =
        |key: &str| Some(build.get(key)?.as_str()?.to_owned()).filter(|set| !set.is_empty());
    if let Some(wrapper) = value("rustc-wrapper") {
        let place = format!("build.rustc-wrapper in {label}");
        return Some(NotUsed::Wrapper { place, wrapper });
    }
    let place = format!("build.rustc-workspace-wrapper in {label}");
    value("rustc-workspace-wrapper").map(|_| NotUsed::WorkspaceWrapper { place })
}

/// Of sccache's own file the local disk alone is no cache of the user's own.
fn in_own_config(path: &str, config: &Table) -> Option<NotUsed> {
    let remote = config
        .get("cache")
        .and_then(|cache| cache.as_table())
        .and_then(|caches| caches.keys().find(|kind| *kind != "disk"))
        .map(|kind| format!("cache.{kind}"));
    let distributed = config
        .get("dist")
        .and_then(|dist| dist.get("scheduler_url"))
        .map(|_| "dist.scheduler_url".to_owned());
    let key = remote.or(distributed)?;
    let place = format!("{key} in {path}");
    Some(NotUsed::OwnCache { place })
}

/// Where sccache looks for its configuration file: SCCACHE_CONF, or the platform's place.
pub fn user_config_file(environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = environment.path("SCCACHE_CONF") {
        return Some(path);
    }
    if cfg!(windows) {
        let data = environment.path("APPDATA")?;
        return Some(data.join("Mozilla/sccache/config/config"));
    }
    let home = environment.path("HOME");
    if cfg!(target_os = "macos") {
        return Some(home?.join("Library/Application Support/Mozilla.sccache/config"));
    }
    let base = environment
        .path("XDG_CONFIG_HOME")
        .filter(|base| base.is_absolute())
        .or_else(|| Some(home?.join(".config")))?;
    Some(base.join("sccache/config"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(variables: &[(&str, &str)], cargo_config: &str, own_config: &str) -> String {
        let cargo_config: Table = cargo_config.parse().expect("it is TOML");
        let own_config: Table = own_config.parse().expect("it is TOML");
        let surroundings = Surroundings {
            cargo_config: vec![(".cargo/config.toml", &cargo_config)],
            on_path: Some("/bin/sccache".into()),
            own_config: Some(("~/.config/sccache/config".to_owned(), own_config)),
        };
        let environment = variables.iter().copied().collect();
        match choose(&SccacheSetting::Auto, &environment, &surroundings) {
            Choice::Use(source) => format!("used: {source:?}"),
            Choice::Leave(reason) => {
                assert!(reason.is_news());
                reason.to_string()
            }
        }
    }

    #[test]
    fn what_the_user_set_up_is_left_alone_and_named() {
        insta::assert_snapshot!(leave(&[("RUSTC_WRAPPER", "/opt/cachepot")], "", ""), @"RUSTC_WRAPPER sets a wrapper of your own, /opt/cachepot");
        insta::assert_snapshot!(leave(&[("CARGO_BUILD_RUSTC_WRAPPER", "sccache")], "", ""), @"CARGO_BUILD_RUSTC_WRAPPER sets a wrapper of your own, sccache");
        insta::assert_snapshot!(leave(&[], "build.rustc-wrapper = 'sccache'", ""), @"build.rustc-wrapper in .cargo/config.toml sets a wrapper of your own, sccache");
        insta::assert_snapshot!(leave(&[("RUSTC_WORKSPACE_WRAPPER", "w")], "", ""), @"RUSTC_WORKSPACE_WRAPPER sets a compiler wrapper for workspace members");
        insta::assert_snapshot!(leave(&[], "build.rustc-workspace-wrapper = 'w'", ""), @"build.rustc-workspace-wrapper in .cargo/config.toml sets a compiler wrapper for workspace members");
        insta::assert_snapshot!(leave(&[("SCCACHE_GHA_ENABLED", "true")], "", ""), @"SCCACHE_GHA_ENABLED sets up an sccache of your own");
        insta::assert_snapshot!(leave(&[("SCCACHE_BUCKET", "b")], "", ""), @"SCCACHE_BUCKET sets up an sccache of your own");
        insta::assert_snapshot!(leave(&[], "", "[cache.s3]\nbucket = 'b'"), @"cache.s3 in ~/.config/sccache/config sets up an sccache of your own");
        insta::assert_snapshot!(leave(&[], "", "dist.scheduler_url = 'http://x'"), @"dist.scheduler_url in ~/.config/sccache/config sets up an sccache of your own");
        insta::assert_snapshot!(leave(&[("CARGO_INCREMENTAL", "1")], "", ""), @"CARGO_INCREMENTAL switches incremental compilation on, which sccache refuses");
    }

    #[test]
    fn what_tunes_the_local_cache_and_what_is_set_to_nothing_is_no_reason_to_leave_it() {
        let used = r#"used: Program("/bin/sccache")"#;
        let tuning = [
            ("SCCACHE_DIR", "/x"),
            ("SCCACHE_CACHE_SIZE", "1G"),
            ("SCCACHE_LOG", "debug"),
            ("CARGO_INCREMENTAL", "0"),
        ];
        assert_eq!(
            leave(&tuning, "build.jobs = 2", "[cache.disk]\nsize = 1"),
            used
        );
        assert_eq!(
            leave(&[("RUSTC_WRAPPER", ""), ("SCCACHE_BUCKET", "")], "", ""),
            used
        );
    }

    #[rstest::rstest]
    #[case(SccacheSetting::Auto, Some("/bin/s"), Choice::Use(Source::Program("/bin/s".into())))]
    #[case(SccacheSetting::Auto, None, Choice::Leave(NotUsed::NotOnPath))]
    #[case(SccacheSetting::On, Some("/bin/s"), Choice::Use(Source::Program("/bin/s".into())))]
    #[case(SccacheSetting::On, None, Choice::Use(Source::Release))]
    #[case(SccacheSetting::At("/my".into()), Some("/bin/s"), Choice::Use(Source::Program("/my".into())))]
    #[case(SccacheSetting::Off, Some("/bin/s"), Choice::Leave(NotUsed::Setting))]
    fn the_setting_says_where_it_comes_from(
        #[case] setting: SccacheSetting,
        #[case] on_path: Option<&str>,
        #[case] expected: Choice,
    ) {
        let surroundings = Surroundings {
            on_path: on_path.map(PathBuf::from),
            ..Surroundings::default()
        };
        let chosen = choose(&setting, &Environment::default(), &surroundings);
        assert_eq!(chosen, expected);
    }

    #[test]
    fn nobody_hears_of_what_was_asked_for() {
        assert!(!NotUsed::Setting.is_news());
        assert!(!NotUsed::NotOnPath.is_news());
        let environment = [
            (WRAPPED, "/bin/sccache"),
            ("RUSTC_WRAPPER", "/tmp/x/sccache"),
        ];
        let chosen = choose(
            &SccacheSetting::At("/bin/sccache".into()),
            &environment.into_iter().collect(),
            &Surroundings::default(),
        );
        assert_eq!(chosen, Choice::Leave(NotUsed::InUseAlready));
        assert!(!NotUsed::InUseAlready.is_news());
    }
}
