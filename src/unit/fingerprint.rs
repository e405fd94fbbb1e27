//! Cargo's fingerprint files: their names, the hash, and the JSON beside it. Pure.
//!
//! A fingerprint directory holds for each target `<kind>-<target>` with 16 hexadecimal digits (little-endian bytes of a
//! `u64`), `<kind>-<target>.json` with the numbers behind it, `dep-…` with its sources, `output-…` with its warnings,
//! and one `invoked.timestamp`. Cargo empties the hash file before it compiles, so that a killed compilation leaves an
//! empty one. The JSON is only there for messages: nothing here fails because of what stands in it.

use serde_json::Value;

use super::Fingerprint;

/// How the names of hash files begin: an optional flavour, then the kind of target (cargo `fingerprint/mod.rs`).
const KINDS: [&str; 6] = [
    "lib-",
    "bin-",
    "example-",
    "integration-test-",
    "bench-",
    "build-script-",
];
const FLAVOURS: [&str; 3] = ["test-", "doc-", "run-"];

/// What the name of a hash file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashFileName<'a> {
    /// `test-`, `doc-`, `run-`, or nothing.
    pub flavour: &'static str,
    /// The kind of target, with its dash.
    pub kind: &'static str,
    /// The target's name as the manifest has it.
    pub target: &'a str,
}

impl<'a> HashFileName<'a> {
    /// Takes `name` apart, if it is the name of a hash file.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        // A target's name can't have a dot in it, as it becomes a crate's name.
        if name.contains('.') {
            return None;
        }
        let (flavour, rest) = strip_any(&FLAVOURS, name).unwrap_or(("", name));
        let (kind, target) = strip_any(&KINDS, rest)?;
        Some(Self {
            flavour,
            kind,
            target,
        })
    }

    /// How the targets of a unit are ordered: what was compiled comes before its documentation, a library before
    /// executables.
    pub(super) fn order(&self) -> (bool, bool, &'a str) {
        (self.flavour == "doc-", self.kind != "lib-", self.target)
    }

    /// The name that the outputs of this target have, before any hash.
    pub(super) fn crate_name(&self) -> String {
        self.target.replace('-', "_")
    }
}

/// The first of `prefixes` that `name` has, and what comes after it.
fn strip_any<'a>(prefixes: &[&'static str], name: &'a str) -> Option<(&'static str, &'a str)> {
    prefixes
        .iter()
        .find_map(|prefix| Some((*prefix, name.strip_prefix(prefix)?)))
}

/// The 16 hexadecimal digits at the end of `name` after a dash, and what comes before it.
pub(super) fn split_hash(name: &str) -> Option<(&str, &str)> {
    let (rest, hash) = name.rsplit_once('-')?;
    (is_hash(hash) && !rest.is_empty()).then_some((rest, hash))
}

/// Whether `text` is 16 hexadecimal digits as Cargo writes them.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 16
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The fingerprint that `hash` (the content of a hash file) and `json` stand for. `None` if `hash` is not a hash;
/// where the JSON is missing or broken, only the value is known.
pub(super) fn parse(hash: &str, json: Option<&[u8]>) -> Option<Fingerprint> {
    let value = hash.trim();
    if !is_hash(value) {
        return None;
    }
    let json = json
        .and_then(|json| serde_json::from_slice::<Value>(json).ok())
        .unwrap_or(Value::Null);
    let number = |name| json.get(name).and_then(Value::as_u64).unwrap_or_default();
    let deps = json.get("deps").and_then(Value::as_array);
    Some(Fingerprint {
        value: value.to_owned(),
        rustc: number("rustc"),
        features: json
            .get("features")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        target: number("target"),
        profile: number("profile"),
        compile_kind: number("compile_kind"),
        deps: deps.into_iter().flatten().filter_map(dependency).collect(),
    })
}

/// Name and value of one dependency: `[package id, name, public, value]`.
fn dependency(entry: &Value) -> Option<(String, String)> {
    let entry = entry.as_array()?;
    let name = entry.iter().find_map(Value::as_str)?;
    let value = entry.iter().rev().find_map(Value::as_u64)?;
    Some((name.to_owned(), as_written(value)))
}

/// A value from the JSON as the hash file has it: the bytes of the number, lowest first.
fn as_written(value: u64) -> String {
    format!("{:016x}", value.swap_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_json_are_those_of_the_hash_files() {
        let run = parse(
            "682e8c7ab7240d92",
            Some(br#"{"rustc":7458672600737419911,"features":"","target":0,"profile":0,
                "deps":[[18070707816531966863,"build_script_build",false,13037947696723038875]],"compile_kind":0}"#),
        )
        .expect("a hash");
        assert_eq!(run.rustc, 7_458_672_600_737_419_911);
        assert_eq!(
            run.deps,
            [(
                "build_script_build".to_owned(),
                "9b924c275a18f0b4".to_owned()
            )]
        );
    }

    #[rstest::rstest]
    #[case::missing(None)]
    #[case::cut_off(Some(&br#"{"rustc":74586"#[..]))]
    #[case::of_another_shape(Some(&br#"{"rustc":"1.95","deps":[[],[1],{"a":1},["x"]],"features":[]}"#[..]))]
    #[case::no_object(Some(&b"[1, 2]"[..]))]
    fn a_json_that_cannot_be_read_leaves_the_value(#[case] json: Option<&[u8]>) {
        assert_eq!(
            parse("682e8c7ab7240d92", json),
            Some(Fingerprint {
                value: "682e8c7ab7240d92".to_owned(),
                ..Fingerprint::default()
            })
        );
    }

    #[rstest::rstest]
    #[case("")]
    #[case("682e8c7ab7240d9")]
    #[case("682e8c7ab7240d92 682e8c7ab7240d92")]
    #[case("zz2e8c7ab7240d92")]
    fn what_a_killed_compilation_leaves_is_no_hash(#[case] hash: &str) {
        assert_eq!(parse(hash, None), None);
    }

    #[rstest::rstest]
    #[case("lib-serde_derive", Some(("", "lib-", "serde_derive")))]
    #[case("test-integration-test-it", Some(("test-", "integration-test-", "it")))]
    #[case("test-bench-bb", Some(("test-", "bench-", "bb")))]
    #[case("run-build-script-build-script-build", Some(("run-", "build-script-", "build-script-build")))]
    #[case("build-script-build-script-build", Some(("", "build-script-", "build-script-build")))]
    #[case("doc-bin-lib-doc", Some(("doc-", "bin-", "lib-doc")))]
    #[case("dep-lib-serde_derive", None)]
    #[case("output-lib-serde_derive", None)]
    #[case("lib-serde_derive.json", None)]
    #[case("invoked.timestamp", None)]
    fn hash_files_are_told_by_their_names(
        #[case] name: &str,
        #[case] expected: Option<(&str, &str, &str)>,
    ) {
        let parsed = HashFileName::parse(name);
        assert_eq!(
            parsed.map(|name| (name.flavour, name.kind, name.target)),
            expected
        );
    }
}
