//! What build scripts and procedural macros may read without saying so: the lists, in one place.
//!
//! A build script is judged by the text of its own sources and of the path packages it is built with, and by the
//! names of all packages it is built with. That finds too much rather than too little (comments count). **The
//! documented limit**: a script that hides what it reads from every sign here, such as one that asks git through a
//! program with another name.
//!
//! Procedural macros are judged by the same means, with lists of their own ([`super::macros`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Something that a build script or a procedural macro may read undeclared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// What only changes with a commit, a branch or a tag; with what stands for it in the source.
    Git(String),
    /// What changes from one moment or machine to the next: the clock, the network, other programs.
    World(String),
    /// An environment variable that it does not declare, or `*` where its name can't be told.
    Variable(String),
    /// Files outside its own package.
    Elsewhere(String),
    /// Of a macro: files that it opens by name.
    Files(String),
    /// Of a macro: what lies in a directory.
    Lists(String),
    /// Of a macro: manifests, and no other file.
    Manifests(String),
}

/// Text that stands for git in a source.
const GIT_TEXT: &[&str] = &[
    "\"git\"",
    "\"git.exe\"",
    "\"git ",
    ".git\"",
    ".git/",
    "git2::",
    "gix::",
    "git_version",
    "vergen",
    "shadow_rs",
    "built::",
    "\"hg\"",
    "\"jj\"",
    "\"svn\"",
    "build_data::",
    "build_info",
];

/// Text that stands for the clock, the network or a program whose answer nobody knows.
const WORLD_TEXT: &[&str] = &[
    "SystemTime",
    "chrono::",
    "Utc::now",
    "Local::now",
    "OffsetDateTime",
    "Zoned::now",
    "jiff::",
    "time::now",
    "random",
    "rand::",
    "hostname",
    "TcpStream",
    "ureq::",
    "reqwest::",
    "curl::",
    "xshell::",
    "duct::",
    "cmd_lib::",
];

/// Text that stands for files outside the package.
const ELSEWHERE_TEXT: &[&str] = &[
    "../",
    "/..",
    "\"..\"",
    "..\\",
    ".parent()",
    ".pop()",
    "ancestors()",
    "ParentDir",
    "WORKSPACE",
    "workspace_root",
    "cargo_metadata",
    "MetadataCommand",
];

/// Programs that compile or generate from files they are given. A new version of one, installed by hand, is not seen:
/// keys have the system's release and libc, and not each program.
const TOOLCHAIN_PROGRAMS: &[&str] = &[
    "rustc",
    "cc",
    "c++",
    "gcc",
    "g++",
    "clang",
    "clang++",
    "ld",
    "ar",
    "nasm",
    "protoc",
    "flatc",
    "llvm-config",
    "pkg-config",
];

/// Packages that read git for those who build with them.
const GIT_PACKAGES: &[&str] = &[
    "git2",
    "libgit2-sys",
    "gix",
    "gix-discover",
    "git-version",
    "git-version-macro",
    "vergen",
    "vergen-lib",
    "vergen-git2",
    "vergen-gix",
    "vergen-gitcl",
    "vergen-git",
    "vergen-pretty",
    "built",
    "shadow-rs",
    "build-data",
    "build-info",
    "build-info-build",
    "bugreport",
    "rustc-tools-util",
    "git-testament",
    "git-testament-derive",
    "tauri-build",
];

/// Packages that read the clock, the network, the environment or other programs.
const WORLD_PACKAGES: &[&str] = &[
    "chrono",
    "time",
    "jiff",
    "build-time",
    "compile-time",
    "const-random",
    "const-random-macro",
    "rand",
    "dotenv",
    "dotenvy",
    "reqwest",
    "ureq",
    "curl",
    "attohttpc",
    "minreq",
    "xshell",
    "duct",
    "cmd_lib",
    "hostname",
    "gethostname",
    "whoami",
];

/// Packages that read files outside the package that is built.
const ELSEWHERE_PACKAGES: &[&str] = &[
    "cargo_metadata",
    "cbindgen",
    "project-root",
    "cargo",
    "cargo-manifest",
    "cargo_toml",
    "cargo-lock",
    "guppy",
    "uniffi_build",
    "uniffi_bindgen",
    "substrate-wasm-builder",
    "wasm-bindgen-cli-support",
    "proc-macro-crate",
    "find-crate",
];

/// Variables that are no sign: Cargo sets them, keys hold them, or (DOCS_RS, RUST_BACKTRACE, RUSTC_WRAPPER) builds that
/// are cached don't differ by them.
fn is_known_variable(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "OUT_DIR",
        "TARGET",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "DEBUG",
        "PROFILE",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_LINKER",
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO",
        "RUSTC_BOOTSTRAP",
        "CC",
        "CXX",
        "AR",
        "CFLAGS",
        "CXXFLAGS",
        "MACOSX_DEPLOYMENT_TARGET",
        "SDKROOT",
        "DOCS_RS",
        "RUST_BACKTRACE",
    ];
    const PREFIXES: &[&str] = &["CARGO_PKG_", "CARGO_CFG_", "CARGO_FEATURE_", "DEP_"];
    const CARGO: &[&str] = &[
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MAKEFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_CRATE_NAME",
        "CARGO_INCREMENTAL",
        "CARGO_TARGET_TMPDIR",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_BIN_NAME",
        "RUST_LOG",
    ];
    NAMES.contains(&name)
        || CARGO.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The sign that building with `package` is, if it is one.
pub fn sign_of_package(package: &str) -> Option<Sign> {
    // Cargo's fingerprints call a package by its crate's name, which has `_` for `-`.
    let same = |name: &&str| name.replace('-', "_") == package.replace('-', "_");
    let found = |names: &[&str]| names.iter().any(same);
    let name = package.to_owned();
    if found(GIT_PACKAGES) {
        Some(Sign::Git(name))
    } else if found(WORLD_PACKAGES) {
        Some(Sign::World(name))
    } else if found(ELSEWHERE_PACKAGES) {
        Some(Sign::Elsewhere(name))
    } else {
        None
    }
}

/// `source` without the lines that are comments from their start: no call is in them. A line of a string that looks like one
/// is no call either.
pub(super) fn without_comments(source: &str) -> String {
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The signs in the text of a source file, given the variables that the script declares.
pub fn signs_of_source(source: &str, declared: &[String]) -> BTreeSet<Sign> {
    let source = &without_comments(source);
    let mut signs = BTreeSet::new();
    let lists = [
        (GIT_TEXT, Sign::Git as fn(String) -> Sign),
        (WORLD_TEXT, Sign::World),
        (ELSEWHERE_TEXT, Sign::Elsewhere),
    ];
    for (texts, sign) in lists {
        let found = texts.iter().find(|text| mentions(source, text));
        signs.extend(found.map(|text| sign(text.trim_matches('"').trim().to_owned())));
    }
    signs.extend(programs(source));
    signs.extend(unknown_variables(source, declared));
    signs
}

/// The variables that a source reads, less those that are no sign and those that are `declared`.
pub(super) fn unknown_variables(source: &str, declared: &[String]) -> impl Iterator<Item = Sign> {
    variables(source)
        .filter(|name| !is_known_variable(name) && !declared.iter().any(|known| known == name))
        .map(Sign::Variable)
}

/// The programs that a source starts: one that only the toolchain and its inputs decide is no sign.
pub(super) fn programs(source: &str) -> impl Iterator<Item = Sign> {
    calls(
        source,
        &["Command::new(", "cmd!(", "Exec::cmd(", "Command::from("],
    )
    .filter_map(|argument| {
        let name = match literal(argument) {
            Some(name) => name,
            None if is_rustc(argument) => return None,
            None => "a command".to_owned(),
        };
        (!TOOLCHAIN_PROGRAMS.contains(&name.as_str())).then_some(match name.as_str() {
            "git" => Sign::Git(name),
            _ => Sign::World(name),
        })
    })
}

/// Whether `argument`, up to its closing parenthesis, is the compiler by another name.
fn is_rustc(argument: &str) -> bool {
    let expression = argument.split(')').next().unwrap_or_default();
    expression.to_ascii_lowercase().contains("rustc")
}

/// The variables that a source reads, `*` for those whose names it computes.
fn variables(source: &str) -> impl Iterator<Item = String> {
    let named = calls(source, &["var(", "var_os("])
        .map(|argument| literal(argument).unwrap_or_else(|| "*".to_owned()));
    let all = ["vars()", "vars_os()"]
        .into_iter()
        .filter(|text| source.contains(text))
        .map(|_| "*".to_owned());
    named.chain(all)
}

/// What follows each of `openings` in `source`.
fn calls<'a>(source: &'a str, openings: &'static [&'static str]) -> impl Iterator<Item = &'a str> {
    openings.iter().copied().flat_map(move |opening| {
        words(source, opening).map(move |at| source[at + opening.len()..].trim_start())
    })
}

/// Where `text` stands in `source`, and not as the end of a longer name.
fn words<'a>(source: &'a str, text: &'a str) -> impl Iterator<Item = usize> + use<'a> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let begins_a_name = text.starts_with(is_name);
    let found = source.match_indices(text);
    found
        .filter(move |(at, _)| !begins_a_name || !source[..*at].ends_with(is_name))
        .map(|(at, _)| at)
}

/// Whether `text` stands in `source`, as a part of a longer name too: `CARGO_WORKSPACE_DIR`, `async_fs::read`. But an
/// `operand::` is no `rand::`.
pub(super) fn mentions(source: &str, text: &str) -> bool {
    if text == "rand::" {
        words(source, text).next().is_some()
    } else {
        source.contains(text)
    }
}

/// The string literal that `text` begins with. One with escapes in it is none.
fn literal(text: &str) -> Option<String> {
    let rest = text.strip_prefix('&').unwrap_or(text).strip_prefix('"')?;
    let (literal, _) = rest.split_once('"')?;
    (!literal.contains('\\')).then(|| literal.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(r#"Command::new("git").arg("rev-parse")"#, Sign::Git("git".into()))]
    #[case("let repository = git2::Repository::open(\"x\")", Sign::Git("git2::".into()))]
    #[case("SystemTime::now()", Sign::World("SystemTime".into()))]
    #[case(r#"Command::new("sh").arg("x.sh")"#, Sign::World("sh".into()))]
    #[case("Command::new(program)", Sign::World("a command".into()))]
    #[case(r#"std::env::var("BUILD_NUMBER")"#, Sign::Variable("BUILD_NUMBER".into()))]
    #[case("env::var_os(name)", Sign::Variable("*".into()))]
    #[case("for (k, v) in std::env::vars() {}", Sign::Variable("*".into()))]
    #[case(r#"fs::read("../schema.json")"#, Sign::Elsewhere("../".into()))]
    #[case("//x\nSystemTime::now()", Sign::World("SystemTime".into()))]
    #[case(r#"env!("CARGO_WORKSPACE_DIR")"#, Sign::Elsewhere("WORKSPACE".into()))]
    fn what_a_script_may_read_undeclared_is_found_in_its_text(
        #[case] source: &str,
        #[case] expected: Sign,
    ) {
        let signs = signs_of_source(source, &[]);
        assert!(signs.contains(&expected), "{signs:?}");
    }

    #[rstest::rstest]
    #[case(r#"println!("cargo:rerun-if-changed=build.rs");"#)]
    #[case(r#"env::var("OUT_DIR"); env::var_os("CARGO_CFG_TARGET_OS"); env::var("DECLARED")"#)]
    #[case(r#"Command::new(env::var_os("RUSTC").unwrap())"#)]
    #[case(r#"Command::new("protoc"); for n in 0..10 {}"#)]
    #[case("fn visit_var(name: &str) {} let operand = Operand::new(); operand::take()")]
    fn what_every_script_does_is_no_sign(#[case] source: &str) {
        assert_eq!(
            signs_of_source(source, &["DECLARED".to_owned()]),
            BTreeSet::new()
        );
    }

    #[rstest::rstest]
    #[case("shadow-rs")]
    #[case("shadow_rs")]
    #[case("vergen-gix")]
    fn packages_that_read_git_are_known_by_both_of_their_names(#[case] package: &str) {
        assert_eq!(
            sign_of_package(package),
            Some(Sign::Git(package.to_owned()))
        );
    }

    #[test]
    fn comments_are_no_sign() {
        let source = "// Command::new(\"git\")\n    //! env::var(\"X\")\nfn main() {}\n";
        assert_eq!(signs_of_source(source, &[]), BTreeSet::new());
    }
}
