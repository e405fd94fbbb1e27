//! The records of what `cargo install` and cargo-binstall installed, as text.
//!
//! - `.crates.toml`: table `v1`, package to its binaries. Cargo believes this one: what is not in it is forgotten.
//! - `.crates2.json`: `installs`, package to its binaries and the settings they were built with. With it `cargo
//!   install` knows that a tool is up to date.
//! - `binstall/crates-v1.json`: a row of JSON objects, one a package. cargo-binstall writes `.crates.toml` besides.
//!
//! (rust-lang/cargo `ops/common_for_install_and_uninstall.rs`; cargo-binstall `binstalk-manifests`.)
//!
//! Everything here is pure. Invariant: adding a record changes no record that is there, and keeps every field, known
//! or not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `.crates.toml`, relative to CARGO_HOME.
pub const CRATES_TOML: &str = ".crates.toml";
/// `.crates2.json`, relative to CARGO_HOME.
pub const CRATES2_JSON: &str = ".crates2.json";
/// cargo-binstall's records, relative to CARGO_HOME.
pub const BINSTALL_JSON: &str = "binstall/crates-v1.json";

const INSTALLS: &str = "installs";
const V1: &str = "v1";

/// The record of one installed package, in all files that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRecord {
    /// The package as Cargo names it: `ripgrep 15.1.0 (registry+https://github.com/rust-lang/crates.io-index)`.
    pub package: String,
    /// Its binaries, by the names they have in `bin` (with `.exe` if Cargo wrote it).
    pub bins: BTreeSet<String>,
    /// Its value in `.crates2.json`, as it was.
    pub crates2: Option<Value>,
    /// Its object in cargo-binstall's records, as it was.
    pub binstall: Option<Value>,
}

/// Install records that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to understand {file}: {reason}")]
pub struct RecordsError {
    /// The file, relative to CARGO_HOME.
    pub file: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// The install records of a CARGO_HOME.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    crates_toml: toml::Table,
    crates2: Map<String, Value>,
    binstall: Vec<Value>,
}

impl Records {
    /// Reads the contents of the three files; an empty one stands for a missing one.
    pub fn parse(crates_toml: &str, crates2: &str, binstall: &str) -> Result<Self, RecordsError> {
        let failure = |file, reason: &dyn ToString| RecordsError {
            file,
            reason: reason.to_string(),
        };
        let mut records = Self {
            crates_toml: crates_toml
                .parse()
                .map_err(|error: toml::de::Error| failure(CRATES_TOML, &error.message()))?,
            ..Self::default()
        };
        if !crates2.trim().is_empty() {
            records.crates2 =
                serde_json::from_str(crates2).map_err(|error| failure(CRATES2_JSON, &error))?;
        }
        records.binstall = serde_json::Deserializer::from_str(binstall)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| failure(BINSTALL_JSON, &error))?;
        // What is of another shape than Cargo's cannot be added to.
        let v1 = records.crates_toml.get(V1);
        if v1.is_some_and(|v1| !v1.is_table()) {
            return Err(failure(CRATES_TOML, &"`v1` is not a table"));
        }
        let installs = records.crates2.get(INSTALLS);
        if installs.is_some_and(|installs| !installs.is_object()) {
            return Err(failure(CRATES2_JSON, &"`installs` is not an object"));
        }
        Ok(records)
    }

    /// Every package that Cargo takes for installed, sorted.
    pub fn installed(&self) -> Vec<InstallRecord> {
        let mut installed: Vec<_> = self
            .packages()
            .map(|(package, bins)| InstallRecord {
                package: package.to_owned(),
                bins: bins.map(str::to_owned).collect(),
                crates2: self
                    .crates2
                    .get(INSTALLS)
                    .and_then(|installs| installs.get(package))
                    .cloned(),
                binstall: self
                    .binstall
                    .iter()
                    .rfind(|of| is_binstall_record_of(of, package))
                    .cloned(),
            })
            .collect();
        installed.sort_by(|one, other| one.package.cmp(&other.package));
        installed
    }

    /// Why `record` cannot be added without changing a record that is there, if so.
    pub fn conflict(&self, record: &InstallRecord) -> Option<String> {
        for (package, mut bins) in self.packages() {
            if package == record.package || bins.any(|bin| record.bins.contains(bin)) {
                return Some(format!("there is a record of {package} already"));
            }
        }
        let name = crate_name(&record.package);
        let installs = self.crates2.get(INSTALLS);
        let has_settings = installs.is_some_and(|installs| installs.get(&record.package).is_some());
        let is_in_binstall = record.binstall.is_some()
            && self
                .binstall
                .iter()
                .any(|other| other.get("name").and_then(Value::as_str) == Some(name));
        (has_settings || is_in_binstall).then(|| format!("there is a record of {name} already"))
    }

    /// Adds a record that has no [`Records::conflict`].
    pub fn add(&mut self, record: &InstallRecord) {
        let bins: Vec<_> = record
            .bins
            .iter()
            .map(|bin| toml::Value::String(bin.clone()))
            .collect();
        let v1 = self
            .crates_toml
            .entry(V1)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let toml::Value::Table(v1) = v1 {
            v1.insert(record.package.clone(), toml::Value::Array(bins));
        }
        if let Some(settings) = &record.crates2 {
            let installs = self
                .crates2
                .entry(INSTALLS)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(installs) = installs {
                installs.insert(record.package.clone(), settings.clone());
            }
        }
        self.binstall.extend(record.binstall.clone());
    }

    /// What to write into the three files, by their paths relative to CARGO_HOME. A file that would hold nothing is
    /// left out.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let mut files = Vec::new();
        if !self.crates_toml.is_empty() {
            files.push((CRATES_TOML, self.crates_toml.to_string()));
        }
        if !self.crates2.is_empty() {
            let text = Value::Object(self.crates2.clone()).to_string();
            files.push((CRATES2_JSON, text));
        }
        if !self.binstall.is_empty() {
            let text = self.binstall.iter().map(Value::to_string).collect();
            files.push((BINSTALL_JSON, text));
        }
        files
    }

    fn packages(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.crates_toml
            .get(V1)
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten()
            .map(|(package, bins)| {
                let bins = bins.as_array().into_iter().flatten();
                (package.as_str(), bins.filter_map(toml::Value::as_str))
            })
    }
}

fn crate_name(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}

/// Whether an object of cargo-binstall's is about `package`: same name and version.
fn is_binstall_record_of(record: &Value, package: &str) -> bool {
    let mut parts = package.split(' ');
    record.get("name").and_then(Value::as_str) == parts.next()
        && record.get("current_version").and_then(Value::as_str) == parts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn record(name: &str, bins: &[&str]) -> InstallRecord {
        InstallRecord {
            package: format!("{name} 1.0.0 ({CRATES_IO})"),
            bins: bins.iter().map(|&bin| bin.to_owned()).collect(),
            crates2: Some(serde_json::json!({ "bins": bins, "of_the_future": 1 })),
            binstall: None,
        }
    }

    fn parse_files(files: &[(&str, String)]) -> Records {
        let text = |name| {
            let found = files.iter().find(|(file, _)| *file == name);
            found.map_or("", |(_, text)| text.as_str())
        };
        Records::parse(text(CRATES_TOML), text(CRATES2_JSON), text(BINSTALL_JSON)).unwrap()
    }

    #[test]
    fn a_record_that_was_added_is_read_again_as_it_was() {
        let mut records = Records::default();
        let plain = record("tool", &["tool", "tool-extra"]);
        let mut of_binstall = record("nextest", &["cargo-nextest"]);
        of_binstall.binstall = Some(
            serde_json::json!({ "name": "nextest", "current_version": "1.0.0", "new_field": [] }),
        );
        records.add(&plain);
        records.add(&of_binstall);
        let again = parse_files(&records.files());
        assert_eq!(again, records);
        assert_eq!(again.installed(), [of_binstall, plain]);
    }

    #[test]
    fn unknown_fields_and_the_records_of_others_are_kept() {
        let crates_toml = "future = 1\n[v1]\n\"old 1.0.0 (path+file:///old)\" = [\"old\"]\n";
        let crates2 = r#"{"future":{"a":1},"installs":{"old 1.0.0 (path+file:///old)":{"x":2}}}"#;
        let binstall = r#"{"name":"old","y":3} {"name":"other"}"#;
        let mut records = Records::parse(crates_toml, crates2, binstall).unwrap();
        let mut new = record("tool", &["tool"]);
        new.binstall = Some(serde_json::json!({ "name": "tool", "current_version": "1.0.0" }));
        records.add(&new);
        let text: Vec<_> = records.files().into_iter().map(|(_, text)| text).collect();
        insta::assert_snapshot!(text.join("\n---\n"), @r#"
        future = 1

        [v1]
        "old 1.0.0 (path+file:///old)" = ["old"]
        "tool 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)" = ["tool"]

        ---
        {"future":{"a":1},"installs":{"old 1.0.0 (path+file:///old)":{"x":2},"tool 1.0.0 (registry+https://github.com/rust-lang/crates.io-index)":{"bins":["tool"],"of_the_future":1}}}
        ---
        {"name":"old","y":3}{"name":"other"}{"current_version":"1.0.0","name":"tool"}
        "#);
    }

    #[test]
    fn a_record_that_would_change_another_is_a_conflict() {
        let mut records = Records::default();
        records.add(&record("tool", &["tool"]));
        assert!(records.conflict(&record("tool", &["another"])).is_some());
        assert!(
            records
                .conflict(&record("fork-of-tool", &["tool"]))
                .is_some()
        );
        assert_eq!(records.conflict(&record("unrelated", &["unrelated"])), None);
    }

    #[test]
    fn what_cargo_did_not_write_is_an_error_and_not_overwritten() {
        assert_eq!(
            Records::parse("v1 = 1", "", "").unwrap_err().file,
            CRATES_TOML
        );
        assert_eq!(Records::parse("[v1", "", "").unwrap_err().file, CRATES_TOML);
        assert_eq!(Records::parse("", "[]", "").unwrap_err().file, CRATES2_JSON);
        assert_eq!(Records::parse("", "", "{").unwrap_err().file, BINSTALL_JSON);
    }
}
