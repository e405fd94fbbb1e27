//! The property: whatever happens between save and restore, and in a job around its Cargo commands, a warm build prints
//! what a clean one prints.
//!
//! `HOTCRATE_FRESHNESS_ROUNDS` is the number of rounds, shared over the layouts, `HOTCRATE_FRESHNESS_SEED` where they start: a
//! failure prints the seed and every step that led to it.
//!
//! A clean build in every round would take most of the time. What it would print is worked out instead
//! ([`expected`]), and compared with a real one in some rounds, and wherever a warm build prints something else.

use rstest::rstest;

use super::{
    Moment,
    fixture::World,
    property_world::{FILES, expected, readers_of_everything},
};
use crate::{environment::Environment, unit::Layout};

/// Rounds in CI, and elsewhere.
const ROUNDS: (u64, u64) = (200, 40);
/// Every so many rounds there is a clean build.
const CLEAN: u64 = 25;

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
    let is_ci = Environment::of_process().os("CI").is_some();
    let default = if is_ci { ROUNDS.0 } else { ROUNDS.1 };
    let rounds = number("HOTCRATE_FRESHNESS_ROUNDS", default).div_ceil(2);
    let seed = number("HOTCRATE_FRESHNESS_SEED", 1);
    let mut chance = Chance(
        seed.wrapping_mul(2)
            .wrapping_add(u64::from(layout == Layout::V2)),
    );
    let mut log = Told(vec![format!("HOTCRATE_FRESHNESS_SEED={seed}, {layout:?}")]);
    let mut world = readers_of_everything(layout);
    world.first_job();
    for round in 0..rounds {
        log.0.push(format!("round {round}"));
        // Where much changes in the repository, much is compiled anyway, and hides what steps of the job do.
        let changes = if chance.one_in(2) {
            0
        } else {
            1 + chance.below(3)
        };
        for _ in 0..changes {
            log.0.push(change(&mut world, &mut chance));
        }
        choose_profile(&mut world, &mut chance, &mut log.0);
        world.unpack();
        until_cargo(&mut world, &mut chance, &mut log.0);
        let compiled = world.build();
        log.0.push(format!("compiled {compiled:?}"));
        let (warm, clean) = (world.output(), expected(&world));
        if warm != clean || round % CLEAN == CLEAN - 1 {
            assert_eq!(
                world.truth(),
                clean,
                "what a clean build prints is worked out wrongly"
            );
        }
        assert_eq!(warm, clean, "the warm build is stale");
        if !chance.one_in(3) {
            after_cargo(&mut world, &mut chance, &mut log.0);
            log.0.push("saved".to_owned());
            world.save();
        }
    }
}

/// Prints what led to a failure.
struct Told(Vec<String>);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.join("\n"));
        }
    }
}

fn choose_profile(world: &mut World, chance: &mut Chance, log: &mut Vec<String>) {
    world.arguments = vec!["build"];
    if chance.one_in(4) {
        world.arguments.push("--release");
    }
    log.push(world.arguments.join(" "));
}

/// What happens between the unpacking and Cargo.
fn until_cargo(world: &mut World, chance: &mut Chance, log: &mut Vec<String>) {
    if chance.one_in(3) {
        log.push(touch(world, chance));
    }
    world.moment = if chance.one_in(3) {
        Moment::RightBeforeCargo
    } else {
        Moment::BeforeOtherSteps
    };
    let plan = world.replay_at(super::Mtime::now());
    log.push(format!("replay, {:?}: {:?}", world.moment, plan.packages));
    if world.moment == Moment::RightBeforeCargo {
        return;
    }
    let replays_again = chance.one_in(3);
    for _ in 0..chance.below(3) {
        log.push(step(world, chance, replays_again));
    }
    if replays_again {
        let plan = world.replay_again();
        log.push(format!("replay right before Cargo: {:?}", plan.packages));
    }
}

/// What happens between Cargo and the save. Another build is not compared: what Cargo does not see between two commands of
/// one job is no affair of ours.
fn after_cargo(world: &mut World, chance: &mut Chance, log: &mut Vec<String>) {
    for _ in 0..chance.below(3) {
        log.push(step(world, chance, true));
    }
    if chance.one_in(4) {
        choose_profile(world, chance, log);
        world.build();
        if chance.one_in(3) {
            log.push(step(world, chance, true));
        }
    }
}

/// A step of a job changes a file of the checkout; what it was. Before Cargo, unless there is another replay, only what is
/// not a documented limit: with a time of its own, and nothing that appears beside the target directory.
fn step(world: &World, chance: &mut Chance, anything: bool) -> String {
    let path = chance.of(&FILES);
    let place = world.path("work").join(path);
    let is_top = path.matches('/').count() == 1;
    let top = path.split('/').take(2).collect::<Vec<_>>().join("/");
    let exists = place.exists();
    if !anything && (is_top && !exists || !world.path("work").join(top).exists()) {
        return "nothing".to_owned();
    }
    let is_listed = path.starts_with("ws/art/assets");
    match chance.below(5) {
        0 if exists => {
            fs_err::remove_file(place).expect("deleted");
            format!("a step deletes {path}")
        }
        1 if exists => {
            let to = place.with_file_name("renamed");
            fs_err::rename(place, to).expect("renamed");
            format!("a step renames {path}")
        }
        2 if anything || is_listed => {
            world.write_in_job(path, chance.of(&["one", "two"]));
            // As `tar x` does it: the directory is as old.
            for path in [place.as_path(), place.parent().expect("it has one")] {
                filetime::set_file_mtime(path, LONG_AGO).expect("set");
            }
            format!("a step unpacks {path}, with an old time")
        }
        3 => {
            world.write_in_job("ws/core/src/part.rs", &part(chance));
            "a step edits core".to_owned()
        }
        _ => {
            let content = chance.of(&["one", "two", "three"]);
            world.write_in_job(path, content);
            format!("a step writes {content} to {path}")
        }
    }
}

const LONG_AGO: filetime::FileTime = filetime::FileTime::from_unix_time(1_000_000_000, 7);

/// Does something to the repository; what it was.
fn change(world: &mut World, chance: &mut Chance) -> String {
    let exists = |path: &str| world.path("origin").join(path).exists();
    let path = chance.of(&FILES);
    match chance.below(14) {
        0 | 1 if exists(path) => {
            world.delete(path);
            format!("{path} deleted")
        }
        2 if exists(path) => {
            let to = chance.of(&FILES);
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
        6 => comment(world, chance),
        7 => {
            let value = chance.of(&["x", "y"]).to_owned();
            world.variables = vec![
                ("HC_ENV".to_owned(), value.clone()),
                ("HC_OPTION".to_owned(), value.clone()),
            ];
            format!("environment is {value}")
        }
        8 => switch(world, chance),
        9 => {
            let content = chance.of(&["one", "two"]);
            world.write("ws/core/data.txt", content);
            format!("core's included file is {content}")
        }
        10 if world.git_in_origin(&["rev-list", "--count", "HEAD"]).trim() != "1" => {
            world.git(&["reset", "-q", "--hard", "HEAD~1"]);
            "back to the commit before".to_owned()
        }
        11 => {
            world.git(&["tag", "-f", "here"]);
            "tagged".to_owned()
        }
        _ => {
            world.commit("a commit");
            "committed".to_owned()
        }
    }
}

/// Edits a source without a change of what it does.
fn comment(world: &World, chance: &mut Chance) -> String {
    let text = chance.of(&["// a", "// b", ""]);
    let path = chance.of(&[
        "ws/scan/build.rs",
        "ws/peek/build.rs",
        "ws/mac/src/lib.rs",
        "ws/art/src/lib.rs",
        "ws/outer/src/lib.rs",
        "ws/words/src/lib.rs",
    ]);
    let file = world.path("origin").join(path);
    let source = fs_err::read_to_string(file).expect("readable");
    let source = source.split("//end").next().expect("there is one");
    world.write(path, &format!("{source}//end\n{text}\n"));
    format!("{path} commented")
}

fn switch(world: &World, chance: &mut Chance) -> String {
    let branch = chance.of(&["main", "other"]);
    world.commit("before a switch");
    let heads = world.path("origin/ws/.git/refs/heads");
    if heads.join(branch).exists() {
        world.git(&["checkout", "-q", branch, "--"]);
    } else {
        world.git(&["checkout", "-q", "-b", branch]);
    }
    format!("switched to {branch}")
}

/// Gives a file of the checkout another time.
fn touch(world: &World, chance: &mut Chance) -> String {
    let path = chance.of(&[
        "ws/core/src/part.rs",
        "ws/core/data.txt",
        "ws/art/src/lib.rs",
        "ws/scan/build.rs",
    ]);
    let future = filetime::FileTime::from_unix_time(4_000_000_000, 7);
    let time = if chance.one_in(2) { LONG_AGO } else { future };
    filetime::set_file_mtime(world.path("work").join(path), time).expect("set");
    format!("{path} touched")
}

fn part(chance: &mut Chance) -> String {
    format!(
        "pub const TEXT: &str = \"{}\";\n",
        chance.of(&["one", "two", "three"])
    )
}
