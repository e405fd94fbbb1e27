//! The environment as a value, read once.
//!
//! Decisions take an [`Environment`] instead of asking the process, so that tests can say what it holds.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Environment variables by name. On Windows, upper and lower case are the same in names: what is `Path` there is
/// found as `PATH`.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the process's environment"
    )]
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value of `name` as text, if it is set, not empty, and UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.os(name)?.to_str()
    }

    /// The value of `name` as a path, if it is set and not empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.os(name).map(PathBuf::from)
    }

    /// The value of `name` as it is, if it is set and not empty.
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.find(name, cfg!(windows))
            .filter(|value| !value.is_empty())
    }

    fn find(&self, name: &str, ignores_case: bool) -> Option<&OsStr> {
        let exact = self.0.get(OsStr::new(name));
        let other = || {
            self.0
                .iter()
                .find(|(known, _)| ignores_case && known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        exact.or_else(other).map(OsString::as_os_str)
    }

    /// The same, with `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        if cfg!(windows) {
            self.0.retain(|known, _| !known.eq_ignore_ascii_case(&name));
        }
        self.0.insert(name, value.into());
        self
    }

    /// All variables whose names are UTF-8, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_matters_in_names_but_on_windows() {
        let environment = Environment::from_iter([("Path", "C:\\bin")]);
        assert_eq!(environment.find("PATH", true), Some(OsStr::new("C:\\bin")));
        assert_eq!(environment.find("PATH", false), None);
        assert_eq!(environment.find("PAT", true), None);
    }

    #[test]
    fn the_very_name_comes_before_one_in_another_case() {
        let environment = Environment::from_iter([("NAME", "1"), ("name", "2")]);
        assert_eq!(environment.find("name", true), Some(OsStr::new("2")));
        assert_eq!(environment.find("NAME", true), Some(OsStr::new("1")));
    }
}
