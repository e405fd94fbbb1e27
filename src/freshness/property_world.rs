//! The project of the property test, and what its program prints: a workspace whose build scripts and macros read files,
//! directories, git and the environment, each in a crate of its own, so that each must be seen alone.

use std::path::Path;

use super::fixture::World;
use crate::unit::Layout;

/// Files that are written, deleted and renamed; each is read by something that does not say so, or only in part.
pub(super) const FILES: [&str; 20] = [
    "ws/scan/data/a",
    "ws/scan/data/b",
    "ws/scan/data/deep/c",
    "ws/peek/input/a",
    "ws/peek/input/b",
    "ws/peek/input/deep/c.tmp",
    "ws/art/assets/a",
    "ws/art/assets/b",
    "ws/art/assets/deep/c.tmp",
    "ws/docs/a",
    "ws/docs/b",
    "ws/docs/made.tmp",
    "ws/schema/a",
    "ws/schema/b",
    "ws/words/words.txt",
    "ws/words/made.tmp",
    "ws/NOTICE",
    "ws/README.md",
    "ws/core/notes.txt",
    "ws/stamp/notes.txt",
];

/// What a script prints of a directory, and a macro makes of one.
const WALK: &str = "fn walk(d: &std::path::Path, f: &mut Vec<String>) { let Ok(e) = std::fs::read_dir(d) else { return }; \
    for p in e.map(|e| e.unwrap().path()) { if p.is_dir() { walk(&p, f) } else { \
    f.push(format!(\"{}={}\", p.file_name().unwrap().to_string_lossy(), std::fs::read_to_string(&p).unwrap())) } } }\n\
    fn listing(d: &std::path::Path) -> String { let mut f = Vec::new(); walk(d, &mut f); f.sort(); f.join(\";\") }\n";
const OWN: &str = "println!(\"cargo:rerun-if-changed=build.rs\");";
const GIT: &str = "fn git() -> String { let o = std::process::Command::new(\"git\").args([\"log\", \"-1\", \
    \"--format=%H %D\"]).output().unwrap(); format!(\"{}|{}\", String::from_utf8(o.stdout).unwrap().trim(), \
    std::env::var(\"HC_ENV\").unwrap_or_default()) }\n";

/// A workspace in git, before its first job.
pub(super) fn readers_of_everything(layout: Layout) -> World {
    let world = World::new(layout);
    scripts(&world);
    macros(&world);
    let readers = [
        "scan",
        "schema-reader",
        "peek",
        "far",
        "stamp",
        "art",
        "outer",
        "words",
        "asks",
    ];
    let dependencies: String = readers
        .map(|name| format!("{name} = {{ path = \"../{name}\" }}\n"))
        .concat();
    let rest = format!("[dependencies]\ncore-x = {{ path = \"../core\" }}\n{dependencies}");
    world.package("ws/app", "app", &rest);
    world.delete("ws/app/src/lib.rs");
    let texts = readers
        .map(|name| format!(", {}::TEXT", name.replace('-', "_")))
        .concat();
    world.write(
        "ws/app/src/main.rs",
        &format!("fn main() {{ for text in [core_x::text().as_str(){texts}] {{ println!(\"{{text}}\"); }} }}\n"),
    );
    let members = ["core", "app", "mac", "lit", "asker"]
        .into_iter()
        .chain(readers);
    world.write(
        "ws/Cargo.toml",
        &format!(
            "[workspace]\nmembers = {:?}\nresolver = \"2\"\n[profile.release]\nopt-level = 0\n",
            members.collect::<Vec<_>>()
        ),
    );
    for path in FILES {
        world.write(path, "one");
    }
    world.commit("first");
    world
}

fn scripts(world: &World) {
    let listing = |directory: &str, declared: &str| {
        format!(
            "{WALK}fn main() {{ {declared} println!(\"cargo:rustc-env=SCRIPT={{}}\", listing(\"{directory}\".as_ref())); }}\n//end\n"
        )
    };
    let both = format!("{OWN} println!(\"cargo:rerun-if-changed=../schema\");");
    let stamp =
        format!("{GIT}fn main() {{ {OWN} println!(\"cargo:rustc-env=SCRIPT={{}}\", git()); }}\n");
    for (name, script) in [
        ("scan", listing("data", "")),
        ("schema-reader", listing("../schema", &both)),
        ("peek", listing("input", OWN)),
        ("far", listing("../docs", OWN)),
        ("stamp", stamp),
    ] {
        world.package(&format!("ws/{name}"), name, "");
        world.write(&format!("ws/{name}/build.rs"), &script);
        let library = format!("ws/{name}/src/lib.rs");
        world.write(
            &library,
            "pub const TEXT: &str = env!(\"SCRIPT\");\n//end\n",
        );
    }
}

fn macros(world: &World) {
    let start = "fn place(input: proc_macro::TokenStream) -> std::path::PathBuf { \
        std::path::Path::new(&std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(input.to_string().trim_matches('\"')) }\n";
    let list = format!(
        "{WALK}{start}#[proc_macro] pub fn list(input: proc_macro::TokenStream) -> proc_macro::TokenStream {{ \
         format!(\"{{:?}}\", listing(&place(input))).parse().unwrap() }}\n//end\n"
    );
    let text = format!(
        "{start}#[proc_macro] pub fn text(input: proc_macro::TokenStream) -> proc_macro::TokenStream {{ \
         format!(\"{{:?}}\", std::fs::read_to_string(place(input)).unwrap_or_default()).parse().unwrap() }}\n"
    );
    let ask = format!(
        "{GIT}#[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ \
         format!(\"{{:?}}\", git()).parse().unwrap() }}\n"
    );
    for (name, source) in [("mac", list), ("lit", text), ("asker", ask)] {
        world.package(&format!("ws/{name}"), name, "[lib]\nproc-macro = true\n");
        world.write(&format!("ws/{name}/src/lib.rs"), &source);
    }
    for (name, used, text) in [
        ("art", "mac", "mac::list!(\"assets\")"),
        ("outer", "mac", "mac::list!(\"../docs\")"),
        (
            "words",
            "lit",
            "concat!(lit::text!(\"words.txt\"), \"|\", lit::text!(\"made.tmp\"), \"|\", lit::text!(\"../NOTICE\"))",
        ),
        ("asks", "asker", "asker::ask!()"),
    ] {
        let rest = format!("[dependencies]\n{used} = {{ path = \"../{used}\" }}\n");
        world.package(&format!("ws/{name}"), name, &rest);
        let library = format!("ws/{name}/src/lib.rs");
        world.write(
            &library,
            &format!("pub const TEXT: &str = {text};\n//end\n"),
        );
    }
}

/// What a clean build of the checkout prints, worked out without one.
pub(super) fn expected(world: &World) -> String {
    let work = |path: &str| world.path("work/ws").join(path);
    let read = |path: &str| fs_err::read_to_string(work(path)).unwrap_or_default();
    let variable = |name: &str| {
        let mut variables = world.variables.iter();
        variables
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let part = read("core/src/part.rs");
    let core = [
        part.split('"').nth(1).expect("a literal").to_owned(),
        read("core/data.txt"),
        variable("HC_OPTION").unwrap_or_else(|| "-".to_owned()),
    ]
    .join(" ");
    let asked = format!(
        "{}|{}",
        world.git_in_work(&["log", "-1", "--format=%H %D"]).trim(),
        variable("HC_ENV").unwrap_or_default()
    );
    let words = [
        read("words/words.txt"),
        read("words/made.tmp"),
        read("NOTICE"),
    ]
    .join("|");
    let lines = [
        core,
        listing(&work("scan/data")),
        listing(&work("schema")),
        listing(&work("peek/input")),
        listing(&work("docs")),
        asked.clone(),
        listing(&work("art/assets")),
        listing(&work("docs")),
        words,
        asked,
    ];
    lines.map(|line| line + "\n").concat()
}

fn listing(directory: &Path) -> String {
    let files = walkdir::WalkDir::new(directory).into_iter().flatten();
    let mut lines: Vec<_> = files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let content = fs_err::read_to_string(entry.path()).expect("readable");
            format!("{}={content}", entry.file_name().to_string_lossy())
        })
        .collect();
    lines.sort();
    lines.join(";")
}
