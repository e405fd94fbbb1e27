//! What procedural macros may read without saying so: the lists, and the text that stands for it.
//!
//! A macro is judged by the text of its own sources and of all that it is compiled with, packages from registries
//! included, wherever those sources are there to be read: at save, in CARGO_HOME; the verdict travels with the source
//! manifest. One that calls nothing that opens files, lists directories, starts programs, or reads the clock, the
//! network or variables makes the same of the same tokens. That finds too much rather than too little; only code that a
//! macro generates with `quote!` does not count, as it runs in the program. A macro of which no source was there may read
//! any file, and git.
//!
//! **The documented limit**: a macro that hides what it reads from every text here.

use std::{collections::BTreeSet, ops::Range};

use proc_macro2::{TokenStream, TokenTree};

use super::signs::{
    Sign, mentions, programs, sign_of_package, unknown_variables, without_comments,
};

/// Text that stands for listing a directory.
const LISTS_TEXT: &[&str] = &[
    "read_dir",
    "ReadDir",
    "WalkDir",
    "walkdir",
    "WalkBuilder",
    "ignore::Walk",
    "jwalk",
    "globwalk",
    "glob::",
    "glob(",
    "wax::",
];

/// Text that stands for opening a file, or asking whether it is there.
const FILES_TEXT: &[&str] = &[
    "fs::",
    "fs_err",
    "File::open",
    "OpenOptions",
    "read_to_string",
    "read_to_end",
    "memmap",
    "Mmap",
    ".exists()",
    ".try_exists()",
    ".is_file()",
    ".is_dir()",
    ".metadata()",
    ".canonicalize()",
    ".read_link()",
    "libc::open",
];

/// Text that stands for git, of which a macro that opens files may make use.
const GIT_TEXT: &[&str] = &[
    ".git\"",
    ".git/",
    "git2::",
    "gix::",
    "git_version",
    "\"git\"",
];

/// Text that stands for the clock, chance or the network.
const WORLD_TEXT: &[&str] = &[
    "SystemTime::now",
    "SystemTime::UNIX_EPOCH.elapsed",
    "UNIX_EPOCH.elapsed",
    "Utc::now",
    "Local::now",
    "OffsetDateTime::now",
    "Zoned::now",
    "Timestamp::now",
    "thread_rng",
    "rand::",
    "fastrand",
    "getrandom",
    "hostname",
    "TcpStream",
    "UdpSocket",
    "ureq::",
    "reqwest::",
    "curl::",
];

/// What a macro writes the code with that it generates.
const QUOTES: &[&str] = &[
    "quote",
    "quote_spanned",
    "parse_quote",
    "parse_quote_spanned",
];

/// Procedural macros, and libraries that they are compiled with, that make the same of the same tokens although their text
/// has some of the above.
///
/// Each one's source, in the version that was current in November 2026, was searched: what turned up is code that it
/// generates, tests, documentation, functions that macros do not call, or a variable that only switches debug output. Other
/// versions are taken on trust. **Search before adding one**: `paste` reads any variable, which nobody would guess.
/// Templates and migrations don't belong here, nor grammars that are read without being included.
pub const PURE: &[&str] = &[
    // Macros.
    "async-stream-impl",
    "async-trait",
    "bytemuck_derive",
    "clap_derive",
    "derive_more-impl",
    "displaydoc",
    "futures-macro",
    "num-derive",
    // Its grammars are in the `include_str!` that it generates, and so in dep-info.
    "pest_derive",
    // Its chance has a fixed seed.
    "phf_macros",
    "pin-project-internal",
    "prost-derive",
    // It reads the clock for an example in its error messages.
    "rustversion",
    "schemars_derive",
    "scroll_derive",
    "serde_derive",
    "serde_repr",
    "strum_macros",
    "thiserror-impl",
    "time-macros",
    "tokio-macros",
    "tracing-attributes",
    "yoke-derive",
    "zerocopy-derive",
    "zerofrom-derive",
    "zeroize_derive",
    "zerovec-derive",
    // What they are compiled with.
    "proc-macro2",
    "quote",
    "serde",
    "serde_core",
    "syn",
    "unicode-ident",
];

/// Packages that read manifests for those who build with them, and nothing else. What they look for, the names of
/// dependencies, is in Cargo's own fingerprints too; they run a `cargo` to find the workspace.
const MANIFEST_READERS: &[&str] = &["proc-macro-crate", "find-crate"];

/// Macros that read more than tokens only where the crate that uses them says so: the macro's package, and what stands in
/// one line of its users then.
const ONLY_WITH: &[(&str, &[&str])] =
    &[("paste", &["[<", "env!("]), ("rstest_macros", &["#[files"])];

/// What the name of a published package says of it, if anything: no text of it is looked at then.
pub fn known_package(package: &str) -> Option<BTreeSet<Sign>> {
    if PURE.contains(&package) {
        Some(BTreeSet::new())
    } else if MANIFEST_READERS.contains(&package) {
        Some(BTreeSet::from([Sign::Manifests(package.to_owned())]))
    } else {
        sign_of_package(package).map(|sign| BTreeSet::from([sign]))
    }
}

/// Whether `source` has the text by which a crate asks the macros of `package` for more than tokens. Of most packages no such
/// text is known: then any source may.
pub fn may_ask(package: &str, source: &str) -> bool {
    let mut known = ONLY_WITH.iter().filter(|(name, _)| *name == package);
    known.next().is_none_or(|(_, texts)| {
        let mut lines = source.lines();
        lines.any(|line| texts.iter().all(|text| line.contains(text)))
    })
}

/// What a macro of which nothing is known may read.
pub fn unknown() -> BTreeSet<Sign> {
    let unread = || "its source was not there to be read".to_owned();
    BTreeSet::from([
        Sign::Files(unread()),
        Sign::Lists(unread()),
        Sign::Git(unread()),
    ])
}

/// `source` without what stands in `quote!` and its like. Where it can't be told, as it is.
fn without_generated(source: &str) -> String {
    let is_own = |text: &str| source.contains(&format!("macro_rules! {text}"));
    if !source.contains("quote") || QUOTES.iter().any(|name| is_own(name)) {
        return source.to_owned();
    }
    let mut ranges = Vec::new();
    if let Ok(tokens) = source.parse() {
        add_generated(tokens, &mut ranges);
    }
    // The text of everything that was parsed is kept for as long as somebody may ask where it stood.
    proc_macro2::extra::invalidate_current_thread_spans();
    let mut kept = source.to_owned();
    for range in ranges.into_iter().rev() {
        kept.replace_range(range, "{}");
    }
    kept
}

/// The places, in bytes and in order, of what stands in `quote!` and its like.
fn add_generated(tokens: TokenStream, ranges: &mut Vec<Range<usize>>) {
    let mut before = [None, None];
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            let is_generated = match &before {
                [Some(TokenTree::Ident(name)), Some(TokenTree::Punct(mark))] => {
                    mark.as_char() == '!' && QUOTES.iter().any(|quote| name == quote)
                }
                _ => false,
            };
            if is_generated {
                ranges.push(group.span().byte_range());
            } else {
                add_generated(group.stream(), ranges);
            }
        }
        before = [before[1].take(), Some(token)];
    }
}

/// The signs in the text of a source file of a macro, or of a library that one is compiled with.
pub fn signs_of_macro(source: &str) -> BTreeSet<Sign> {
    let source = without_comments(source);
    let signs = signs_of_text(&source);
    // Most have none, and need not be taken apart.
    if signs.is_empty() {
        signs
    } else {
        signs_of_text(&without_generated(&source))
    }
}

fn signs_of_text(source: &str) -> BTreeSet<Sign> {
    let mut signs = BTreeSet::new();
    let lists = [
        (LISTS_TEXT, Sign::Lists as fn(String) -> Sign),
        (FILES_TEXT, Sign::Files),
        (GIT_TEXT, Sign::Git),
        (WORLD_TEXT, Sign::World),
    ];
    for (texts, sign) in lists {
        let found = texts.iter().find(|text| mentions(source, text));
        signs.extend(found.map(|text| sign(text.trim_matches('"').to_owned())));
    }
    for program in programs(source) {
        // A program may read any file, and what it answers may be of the moment.
        signs.insert(Sign::Files("a program".to_owned()));
        signs.insert(Sign::Lists("a program".to_owned()));
        signs.insert(program);
    }
    // Those that only make a macro print what it generates are called like this everywhere.
    let variables = unknown_variables(source, &[]);
    signs.extend(
        variables.filter(|sign| !matches!(sign, Sign::Variable(name) if name.contains("DEBUG"))),
    );
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("for entry in fs::read_dir(path)? {}", Sign::Lists("read_dir".into()))]
    #[case("glob::glob(&pattern)", Sign::Lists("glob::".into()))]
    #[case("std::fs::read_to_string(&path)", Sign::Files("fs::".into()))]
    #[case("File::open(path)", Sign::Files("File::open".into()))]
    #[case("if path.exists() {}", Sign::Files(".exists()".into()))]
    #[case("SystemTime::now()", Sign::World("SystemTime::now".into()))]
    #[case(r#"env::var("DATABASE_URL")"#, Sign::Variable("DATABASE_URL".into()))]
    #[case("std::env::var(&name)", Sign::Variable("*".into()))]
    #[case(r#"Command::new("git")"#, Sign::Git("git".into()))]
    #[case(r#"Command::new("sh")"#, Sign::Files("a program".into()))]
    #[case("quote!(#a); path.exists(); quote! { b }", Sign::Files(".exists()".into()))]
    #[case("quote == !(path.exists())", Sign::Files(".exists()".into()))]
    #[case("macro_rules! quote { ($($a:tt)*) => { $($a)* } }\nquote!(path.exists())", Sign::Files(".exists()".into()))]
    #[case("quote!(path.exists()", Sign::Files(".exists()".into()))]
    fn what_a_macro_may_read_is_found_in_its_text(#[case] source: &str, #[case] expected: Sign) {
        let signs = signs_of_macro(source);
        assert!(signs.contains(&expected), "{signs:?}");
    }

    #[rstest::rstest]
    #[case("let tokens = quote! { impl #name {} };")]
    #[case("/// let text = std::fs::read(path);\nfn expand() {}")]
    #[case(r#"env::var("MOCKALL_DEBUG"); operand::take(); visit_var(name)"#)]
    #[case(r#"std::env::var("CARGO_PKG_NAME"); impl Serialize for SystemTime {}"#)]
    #[case("quote! { if std::fs::read(#path).is_ok() { std::env::var(\"X\") } }")]
    #[case(
        "fn a() { let at = '\"'; parse_quote!(#path.exists()); quote_spanned!(span=> File::open(\"}\")) }"
    )]
    fn what_every_macro_does_is_no_sign(#[case] source: &str) {
        assert_eq!(signs_of_macro(source), BTreeSet::new());
    }

    #[rstest::rstest]
    #[case("serde_derive", true)]
    #[case("paste", false)]
    #[case("sqlx-macros", false)]
    #[case("include_dir_macros", false)]
    #[case("rust-embed-impl", false)]
    #[case("pest_derive", true)]
    #[case("askama_derive", false)]
    #[case("rstest_macros", false)]
    #[case("wasm-bindgen-macro", false)]
    fn only_packages_that_were_searched_are_taken_to_be_pure(
        #[case] package: &str,
        #[case] pure: bool,
    ) {
        assert_eq!(known_package(package) == Some(BTreeSet::new()), pure);
    }

    #[rstest::rstest]
    #[case(
        "rstest_macros",
        "#[rstest] fn a(#[files(\"a/*\")] path: PathBuf) {}",
        true
    )]
    #[case("rstest_macros", "#[rstest] fn add_files() {}", false)]
    #[case("paste", "paste! { fn [<get_ env!(\"X\")>]() {} }", true)]
    #[case("paste", "paste! { fn [<get_ name>]() {} }\nenv!(\"X\")", false)]
    #[case("include_dir_macros", "", true)]
    fn macros_that_read_only_where_they_are_asked_to_are_known(
        #[case] package: &str,
        #[case] source: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(may_ask(package, source), expected);
    }

    #[test]
    fn what_reads_manifests_alone_is_told_from_what_reads_files() {
        let signs = known_package("proc-macro-crate").expect("it is known");
        assert!(matches!(signs.first(), Some(Sign::Manifests(_))));
    }
}
