//! Which units a new bucket starts with. Pure.

use std::collections::HashSet;

use crate::{
    archive::path::RelativePath,
    unit::{Unit, UnitKind},
};

/// Of `units`, those whose sources lie in CARGO_HOME and that are of use in another target directory, with all that they
/// were compiled against: Cargo takes what lies there to be immutable, so they are what this workspace would compile.
/// `holds_path` says of a unit whether it holds the path of the directory it is in; whatever was compiled against such
/// a one is left out with it.
pub fn seedable(units: &[Unit], holds_path: impl Fn(&Unit) -> bool) -> Vec<&Unit> {
    let mut kept: Vec<_> = units
        .iter()
        .filter(|unit| unit.origin.is_cargo_home() && !holds_path(unit))
        .collect();
    loop {
        let values: HashSet<_> = kept
            .iter()
            .flat_map(|unit| unit.fingerprints())
            .map(|print| print.value.as_str())
            .collect();
        let has_all = |unit: &&Unit| {
            let mut needed = unit.fingerprints().flat_map(|print| &print.deps);
            needed.all(|(_, value)| values.contains(value.as_str()))
        };
        let before = kept.len();
        let whole: Vec<_> = kept.iter().copied().filter(|unit| has_all(unit)).collect();
        kept = whole;
        if kept.len() == before {
            return kept;
        }
    }
}

/// Whether `file` of a unit of this kind may have a name in two directories: nobody writes libraries, metadata and
/// procedural macros in place, compilers put new ones in their stead. Executables and what build scripts wrote may be
/// written to, and Cargo writes its own records in place.
pub fn may_be_linked(kind: UnitKind, file: &RelativePath) -> bool {
    let extension = file.file_name().rsplit_once('.').map(|(_, after)| after);
    match (kind, extension) {
        (UnitKind::BuildScriptRun, _) => false,
        (_, Some("rlib" | "rmeta")) | (UnitKind::ProcMacro, Some("so" | "dylib" | "dll")) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::unit::{Fingerprint, Layout, Origin, UnitId};

    fn unit(package: &str, is_dependency: bool, deps: &[&str]) -> Unit {
        Unit {
            id: UnitId {
                profile: RelativePath::new("debug").expect("plain"),
                package: package.to_owned(),
                hash: "0123456789abcdef".to_owned(),
            },
            layout: Layout::V1,
            kind: UnitKind::Library,
            origin: if is_dependency {
                Origin::Registry {
                    index: "index".to_owned(),
                    package: format!("{package}-1.0.0"),
                }
            } else {
                Origin::Elsewhere
            },
            fingerprint: Some(Fingerprint {
                value: package.to_owned(),
                deps: deps
                    .iter()
                    .map(|&dep| (dep.to_owned(), dep.to_owned()))
                    .collect(),
                ..Fingerprint::default()
            }),
            more_fingerprints: Vec::new(),
            files: Vec::new(),
            compiled_at: SystemTime::UNIX_EPOCH,
            compile_time: None,
            accessed_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn seeded(units: &[Unit], holder: &str) -> Vec<String> {
        seedable(units, |unit| unit.id.package == holder)
            .into_iter()
            .map(|unit| unit.id.package.clone())
            .collect()
    }

    #[test]
    fn a_bucket_starts_with_dependencies_and_no_crate_of_the_workspace() {
        let units = [
            unit("app", false, &["log"]),
            unit("log", true, &["libc"]),
            unit("libc", true, &[]),
        ];
        assert_eq!(seeded(&units, ""), ["log", "libc"]);
    }

    #[test]
    fn what_holds_the_old_path_is_left_out_with_all_that_was_compiled_against_it() {
        let units = [
            unit("top", true, &["middle"]),
            unit("middle", true, &["holder"]),
            unit("holder", true, &["libc"]),
            unit("libc", true, &[]),
        ];
        assert_eq!(seeded(&units, "holder"), ["libc"]);
    }

    #[test]
    fn what_was_compiled_against_a_crate_of_the_workspace_is_left_out() {
        let units = [
            unit("patched", false, &[]),
            unit("user", true, &["patched"]),
        ];
        assert!(seeded(&units, "").is_empty());
    }

    #[rstest::rstest]
    #[case::library(UnitKind::Library, "debug/deps/liba-0.rlib", true)]
    #[case::metadata(UnitKind::Check, "debug/deps/liba-0.rmeta", true)]
    #[case::proc_macro(UnitKind::ProcMacro, "debug/deps/liba-0.so", true)]
    #[case::dynamic_library(UnitKind::Library, "debug/deps/liba-0.so", false)]
    #[case::build_script(UnitKind::BuildScript, "debug/build/a-0/build_script_build-0", false)]
    #[case::written(UnitKind::BuildScriptRun, "debug/build/a-0/out/x.rlib", false)]
    #[case::fingerprint(UnitKind::Library, "debug/.fingerprint/a-0/lib-a", false)]
    fn only_what_nobody_writes_in_place_may_have_two_names(
        #[case] kind: UnitKind,
        #[case] file: &str,
        #[case] may: bool,
    ) {
        assert_eq!(
            may_be_linked(kind, &RelativePath::new(file).expect("plain")),
            may
        );
    }
}
