//! The property: whatever happens between save and restore, a warm build prints what a clean one prints.
//!
//! `HOTCRATE_FRESHNESS_ROUNDS` is the number of rounds for each layout, `HOTCRATE_FRESHNESS_SEED` where they start: a
//! failure names the seed that leads to it again.

use rstest::rstest;

use super::fixture::World;
use crate::{environment::Environment, unit::Layout};

const ROUNDS: u64 = 6;

/// Files that are written, deleted and renamed; each is read by something that does not say so, or only in part.
const FILES: &[&str] = &[
    "ws/scan/data/a",
    "ws/scan/data/b",
    "ws/scan/data/deep/c",
    "ws/art/assets/a",
    "ws/art/assets/b",
    "ws/art/assets/deep/c",
    "ws/docs/a",
    "ws/docs/b",
    "ws/schema/a",
    "ws/schema/b",
    "ws/README.md",
    "ws/core/notes.txt",
    "ws/stamp/notes.txt",
];

/// A generator of numbers that needs no state but its seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("small");
        usize::try_from(self.next() % end).expect("small")
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

fn number(name: &str, default: u64) -> u64 {
    let process = Environment::of_process();
    process
        .text(name)
        .map_or(default, |text| text.parse().expect("a number"))
}

#[rstest]
fn a_warm_build_prints_what_a_clean_one_prints(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = readers_of_everything(layout);
    let seed = number("HOTCRATE_FRESHNESS_SEED", 1);
    let mut chance = Chance(seed);
    let mut log = vec![format!("seed {seed}, {layout:?}")];
    world.first_job();
    for round in 0..number("HOTCRATE_FRESHNESS_ROUNDS", ROUNDS) {
        log.push(format!("round {round}"));
        for _ in 0..=chance.below(3) {
            log.push(change(&mut world, &mut chance));
        }
        let release = chance.one_in(4);
        world.arguments = if release {
            vec!["build", "--release"]
        } else {
            vec!["build"]
        };
        world.unpack();
        if chance.one_in(3) {
            log.push(touch(&world, &mut chance));
        }
        let guard = Told(&log);
        world.finish_second_job();
        drop(guard);
        if chance.one_in(2) {
            if chance.one_in(3) {
                log.push("core edited after the build".to_owned());
                world.write_in_job("ws/core/src/part.rs", &part(&mut chance));
            }
            log.push("saved".to_owned());
            world.save();
        }
    }
}

/// Prints what led to a failure.
struct Told<'a>(&'a [String]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join("\n"));
        }
    }
}

/// Does something to the repository; what it was.
fn change(world: &mut World, chance: &mut Chance) -> String {
    let exists = |path: &str| world.path("origin").join(path).exists();
    let path = chance.of(FILES);
    match chance.below(12) {
        0 | 1 if exists(path) => {
            world.delete(path);
            format!("{path} deleted")
        }
        2 if exists(path) => {
            let to = chance.of(FILES);
            // A file can't take the place of a directory.
            world.write(to, "");
            world.rename(path, to);
            format!("{path} renamed to {to}")
        }
        0..=4 => {
            let content = chance.of(&["one", "two", "three"]);
            world.write(path, content);
            format!("{path} is {content}")
        }
        5 => {
            world.write("ws/core/src/part.rs", &part(chance));
            "core edited".to_owned()
        }
        6 => {
            let text = chance.of(&["// a", "// b", ""]);
            let path = chance.of(&[
                "ws/scan/build.rs",
                "ws/mac/src/lib.rs",
                "ws/art/src/lib.rs",
                "ws/outer/src/lib.rs",
            ]);
            let file = world.path("origin").join(path);
            let source = fs_err::read_to_string(file).expect("readable");
            let source = source.split("//end").next().expect("there is one");
            world.write(path, &format!("{source}//end\n{text}\n"));
            format!("{path} commented")
        }
        7 => {
            let value = chance.of(&["x", "y"]).to_owned();
            world.variables = vec![
                ("HC_ENV".to_owned(), value.clone()),
                ("HC_OPTION".to_owned(), value),
            ];
            "environment changed".to_owned()
        }
        8 => {
            let branch = chance.of(&["main", "other"]);
            world.commit("before a switch");
            world.git(&["branch", "-f", "spare"]);
            let known = world
                .path("origin/ws/.git/refs/heads")
                .join(branch)
                .exists();
            world.git(&[
                "checkout",
                "-q",
                if known { branch } else { "-b" },
                if known { "--" } else { branch },
            ]);
            format!("switched to {branch}")
        }
        9 => {
            world.write("ws/core/data.txt", chance.of(&["one", "two"]));
            "core's included file changed".to_owned()
        }
        _ => {
            world.commit("a commit");
            "committed".to_owned()
        }
    }
}

/// Gives a file of the checkout another time.
fn touch(world: &World, chance: &mut Chance) -> String {
    let path = chance.of(&[
        "ws/core/src/part.rs",
        "ws/core/data.txt",
        "ws/art/src/lib.rs",
        "ws/scan/build.rs",
    ]);
    let time = filetime::FileTime::from_unix_time(
        if chance.one_in(2) {
            1_000_000_000
        } else {
            4_000_000_000
        },
        7,
    );
    filetime::set_file_mtime(world.path("work").join(path), time).expect("set");
    format!("{path} touched")
}

fn part(chance: &mut Chance) -> String {
    format!(
        "pub const TEXT: &str = \"{}\";\n",
        chance.of(&["one", "two", "three"])
    )
}

/// A workspace whose build scripts and macros read files, directories, git and the environment.
fn readers_of_everything(layout: Layout) -> World {
    let world = World::with_macro(layout, "assets");
    let members = [
        "core",
        "app",
        "mac",
        "scan",
        "stamp",
        "art",
        "outer",
        "schema-reader",
        "asker",
        "asks",
    ];
    world.write(
        "ws/Cargo.toml",
        &format!("[workspace]\nmembers = {members:?}\nresolver = \"2\"\n"),
    );
    world.package("ws/core", "core-x", "");
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"one\";\n");
    let core = "mod part;\npub fn text() -> String { [part::TEXT, include_str!(\"../data.txt\"), option_env!(\"HC_OPTION\").unwrap_or(\"-\")].join(\" \") }\n";
    world.write("ws/core/src/lib.rs", core);
    let listing = |directory: &str, declaration: &str| {
        format!(
            "fn walk(d: &std::path::Path, f: &mut Vec<String>) {{ let Ok(e) = std::fs::read_dir(d) else {{ return }}; \
             for p in e.map(|e| e.unwrap().path()) {{ if p.is_dir() {{ walk(&p, f) }} else {{ \
             f.push(format!(\"{{}}={{}}\", p.display(), std::fs::read_to_string(&p).unwrap())) }} }} }}\n\
             fn main() {{ {declaration} let mut f = Vec::new(); walk(\"{directory}\".as_ref(), &mut f); f.sort(); \
             println!(\"cargo:rustc-env=SCRIPT={{}}\", f.join(\";\")); }}\n//end\n"
        )
    };
    let git = "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); let o = std::process::Command::new(\"git\")\
        .args([\"log\", \"-1\", \"--format=%H %D\"]).output().unwrap(); println!(\"cargo:rustc-env=SCRIPT={} {}\", \
        String::from_utf8(o.stdout).unwrap().trim(), std::env::var(\"HC_ENV\").unwrap_or_default()); }\n";
    let declared = "println!(\"cargo:rerun-if-changed=../schema\"); println!(\"cargo:rerun-if-changed=build.rs\");";
    for (name, script) in [
        ("scan", listing("data", "")),
        ("schema-reader", listing("../schema", declared)),
        ("stamp", git.to_owned()),
    ] {
        world.package(&format!("ws/{name}"), name, "");
        world.write(&format!("ws/{name}/build.rs"), &script);
        world.write(
            &format!("ws/{name}/src/lib.rs"),
            "pub const TEXT: &str = env!(\"SCRIPT\");\n//end\n",
        );
    }
    for (name, directory) in [("art", "assets"), ("outer", "../docs")] {
        world.package(
            &format!("ws/{name}"),
            name,
            "[dependencies]\nmac = { path = \"../mac\" }\n",
        );
        world.write(
            &format!("ws/{name}/src/lib.rs"),
            &format!("pub const TEXT: &str = mac::list!(\"{directory}\");\n//end\n"),
        );
    }
    // What a macro learns from git and the environment, apart from the macro that scans: each must be seen alone.
    world.package("ws/asker", "asker", "[lib]\nproc-macro = true\n");
    let asker = "#[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \
        let o = std::process::Command::new(\"git\").args([\"log\", \"-1\", \"--format=%H %D\"]).output().unwrap(); \
        format!(\"{:?}\", format!(\"{} {}\", String::from_utf8(o.stdout).unwrap().trim(), \
        std::env::var(\"HC_ENV\").unwrap_or_default())).parse().unwrap() }\n";
    world.write("ws/asker/src/lib.rs", asker);
    world.package(
        "ws/asks",
        "asks",
        "[dependencies]\nasker = { path = \"../asker\" }\n",
    );
    world.write(
        "ws/asks/src/lib.rs",
        "pub const TEXT: &str = asker::ask!();\n",
    );
    let dependencies: String = ["scan", "stamp", "art", "outer", "schema-reader", "asks"]
        .map(|name| format!("{name} = {{ path = \"../{name}\" }}\n"))
        .concat();
    world.package(
        "ws/app",
        "app",
        &format!("[dependencies]\ncore-x = {{ path = \"../core\" }}\n{dependencies}"),
    );
    world.delete("ws/app/src/lib.rs");
    world.write(
        "ws/app/src/main.rs",
        "fn main() { for text in [core_x::text().as_str(), scan::TEXT, stamp::TEXT, art::TEXT, outer::TEXT, schema_reader::TEXT, asks::TEXT] { println!(\"{text}\"); } }\n",
    );
    for path in FILES {
        world.write(path, "one");
    }
    world.commit("first");
    world
}
