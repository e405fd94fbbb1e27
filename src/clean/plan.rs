//! Which things go, in which order, and what that frees.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::Duration,
};

use serde::Serialize;

/// What is to be freed.
#[derive(Clone, Copy, Debug, Default)]
pub struct CleanRequest {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// How long something must have been unused to go.
    pub older_than: Option<Duration>,
    /// How much buckets and entries may be together, in bytes.
    pub max_bytes: Option<u64>,
    /// Whether everything of the project goes.
    pub all: bool,
}

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ThingKind {
    /// A target directory of hotcrate's.
    Bucket,
    /// Units in a target directory.
    Units,
    /// An entry of the directory store.
    Entry,
}

/// A file of a thing, or one of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Device and inode, where the platform has them.
    pub inode: Option<(u64, u64)>,
    /// How many names the file has, all over the file system.
    pub names: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What is known of a thing before anybody asks for its age or size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes in any case.
    Goes(CleanReason),
    /// It stays in any case, for this reason: somebody is using it.
    Stays(String),
    /// It depends.
    Open,
}

/// Something that can be deleted.
#[derive(Clone, Debug)]
pub struct Thing {
    /// What it is.
    pub kind: ThingKind,
    /// What to call it.
    pub name: String,
    /// Whether it belongs to the project that is cleaned.
    pub is_own: bool,
    /// When it was last used, in seconds since 1970.
    pub used_at: u64,
    /// What is known of it already.
    pub fate: Fate,
    /// The place, among all things, of the bucket that it lies in: it goes with that.
    pub within: Option<usize>,
    /// Its files.
    pub files: Vec<HeldFile>,
}

/// Why something goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanReason {
    /// The checkout that it belongs to is not there any more.
    CheckoutGone(String),
    /// It is what an earlier cleaning, or a start that came to nothing, left.
    Remains,
    /// Units, for these reasons.
    Stale(Vec<String>),
    /// Everything of the project was to go.
    All,
    /// Nobody used it for so many days.
    Unused(u64),
    /// Everything together is larger than it may be, and nothing was unused for longer.
    OverSize,
}

impl fmt::Display for CleanReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckoutGone(checkout) => write!(formatter, "{checkout} is gone"),
            Self::Remains => formatter.write_str("left by something that was not finished"),
            Self::Stale(reasons) => formatter.write_str(&reasons.join("; ")),
            Self::All => formatter.write_str("all of this project"),
            Self::Unused(1) => formatter.write_str("unused for a day"),
            Self::Unused(days) => write!(formatter, "unused for {days} days"),
            Self::OverSize => formatter.write_str("over the size, and used longest ago"),
        }
    }
}

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CleanItem {
    /// Its place among the things that were handed in.
    #[serde(skip)]
    pub thing: usize,
    /// What it is.
    pub kind: ThingKind,
    /// What to call it.
    pub name: String,
    /// How many bytes deleting it frees, after what comes before it in the plan.
    pub bytes: u64,
    /// Why it goes.
    pub reason: CleanReason,
}

/// What goes, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CleanPlan {
    /// What goes, in the order in which it is deleted.
    pub delete: Vec<CleanItem>,
    /// What would have gone, and stays, with the reason.
    pub in_use: Vec<(String, String)>,
    /// How many bytes are freed altogether.
    pub freed: u64,
    /// How many bytes of buckets and entries stay.
    pub kept: u64,
}

/// Decides what goes.
pub fn plan(things: &[Thing], request: &CleanRequest) -> CleanPlan {
    let mut reasons: Vec<_> = things.iter().map(|thing| reason(thing, request)).collect();
    let mut plan = CleanPlan::default();
    for (thing, reason) in things.iter().zip(&mut reasons) {
        // Units are looked at one by one, and listed only if they would go.
        if let Fate::Stays(why) = &thing.fate
            && (reason.take().is_some() || thing.kind == ThingKind::Units)
        {
            plan.in_use.push((thing.name.clone(), why.clone()));
        }
    }
    if let Some(limit) = request.max_bytes {
        keep_to(limit, things, &mut reasons);
    }
    let goes: Vec<_> = reasons.iter().map(Option::is_some).collect();
    let mut links = Links::default();
    for (index, (thing, reason)) in things.iter().zip(reasons).enumerate() {
        let goes_with = thing.within.is_some_and(|bucket| goes[bucket]);
        if let Some(reason) = reason.filter(|_| !goes_with) {
            plan.add(index, thing, reason, &mut links);
        }
    }
    let of_kept_buckets = |item: &&CleanItem| things[item.thing].within.is_some();
    let of_kept_buckets = plan.delete.iter().filter(of_kept_buckets);
    let of_kept_buckets: u64 = of_kept_buckets.map(|item| item.bytes).sum();
    plan.kept = kept(things, &goes).saturating_sub(of_kept_buckets);
    plan
}

/// Lets buckets and entries go, those used longest ago first, until the rest of them fits into `limit` bytes.
fn keep_to(limit: u64, things: &[Thing], reasons: &mut [Option<CleanReason>]) {
    let mut rest: BTreeMap<_, _> = things
        .iter()
        .enumerate()
        .filter(|(index, thing)| {
            let is_open = thing.fate == Fate::Open && thing.kind != ThingKind::Units;
            is_open && reasons[*index].is_none()
        })
        .map(|(index, thing)| ((thing.used_at, index), index))
        .collect();
    loop {
        let goes: Vec<_> = reasons.iter().map(Option::is_some).collect();
        if kept(things, &goes) <= limit {
            return;
        }
        let Some((_, index)) = rest.pop_first() else {
            return;
        };
        reasons[index] = Some(CleanReason::OverSize);
    }
}

/// The size of the buckets and entries that do not go, each file once.
fn kept(things: &[Thing], goes: &[bool]) -> u64 {
    let mut seen = HashSet::new();
    things
        .iter()
        .zip(goes)
        .filter(|(thing, goes)| thing.kind != ThingKind::Units && !**goes)
        .flat_map(|(thing, _)| &thing.files)
        .filter(|file| file.inode.is_none_or(|inode| seen.insert(inode)))
        .map(|file| file.bytes)
        .sum()
}

/// Why a thing goes, whatever the size of all, if it does.
fn reason(thing: &Thing, request: &CleanRequest) -> Option<CleanReason> {
    if let Fate::Goes(reason) = &thing.fate {
        return Some(reason.clone());
    }
    let unused = Duration::from_secs(request.now.saturating_sub(thing.used_at));
    let is_old = request.older_than.is_some_and(|limit| unused >= limit);
    if request.all && thing.is_own {
        Some(CleanReason::All)
    } else if is_old && thing.kind != ThingKind::Units {
        Some(CleanReason::Unused(unused.as_secs() / (24 * 60 * 60)))
    } else {
        None
    }
}

impl CleanPlan {
    fn add(&mut self, index: usize, thing: &Thing, reason: CleanReason, links: &mut Links) {
        let bytes = thing.files.iter().map(|file| links.remove(file)).sum();
        self.freed += bytes;
        self.delete.push(CleanItem {
            thing: index,
            kind: thing.kind,
            name: thing.name.clone(),
            bytes,
            reason,
        });
    }
}

/// How many names of each file are left.
#[derive(Default)]
struct Links(HashMap<(u64, u64), u64>);

impl Links {
    /// Removes a name, and says how many bytes that frees.
    fn remove(&mut self, file: &HeldFile) -> u64 {
        let Some(inode) = file.inode else {
            return file.bytes;
        };
        let left = self.0.entry(inode).or_insert(file.names);
        *left = left.saturating_sub(1);
        if *left == 0 { file.bytes } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const NOW: u64 = 1000 * DAY;

    fn file(inode: u64, names: u64, bytes: u64) -> HeldFile {
        HeldFile {
            inode: Some((1, inode)),
            names,
            bytes,
        }
    }

    fn bucket(name: &str, days: u64, files: &[HeldFile]) -> Thing {
        Thing {
            kind: ThingKind::Bucket,
            name: name.to_owned(),
            is_own: true,
            used_at: NOW - days * DAY,
            fate: Fate::Open,
            within: None,
            files: files.to_vec(),
        }
    }

    fn told(things: &[Thing], request: CleanRequest) -> Vec<String> {
        let plan = plan(
            things,
            &CleanRequest {
                now: NOW,
                ..request
            },
        );
        let items = plan.delete.iter();
        items
            .map(|item| format!("{} {}: {}", item.name, item.bytes, item.reason))
            .collect()
    }

    fn three() -> Vec<Thing> {
        vec![
            bucket("new", 1, &[file(1, 1, 10), file(9, 3, 5)]),
            bucket("old", 20, &[file(2, 1, 20), file(9, 3, 5)]),
            bucket("oldest", 30, &[file(3, 1, 30), file(9, 3, 5)]),
        ]
    }

    #[test]
    fn nothing_goes_that_nobody_asked_for() {
        assert!(told(&three(), CleanRequest::default()).is_empty());
    }

    #[test]
    fn what_was_unused_for_long_enough_goes() {
        let request = CleanRequest {
            older_than: Some(Duration::from_secs(14 * DAY)),
            ..CleanRequest::default()
        };
        assert_eq!(
            told(&three(), request),
            [
                "old 20: unused for 20 days",
                "oldest 30: unused for 30 days"
            ]
        );
    }

    #[test]
    fn a_file_with_several_names_is_freed_with_the_last() {
        let all = CleanRequest {
            all: true,
            ..CleanRequest::default()
        };
        assert_eq!(
            told(&three(), all),
            [
                "new 10: all of this project",
                "old 20: all of this project",
                "oldest 35: all of this project"
            ]
        );
    }

    #[test]
    fn a_name_elsewhere_keeps_a_file() {
        let mut things = three();
        for thing in &mut things {
            thing.files[1].names = 4;
        }
        let all = CleanRequest {
            all: true,
            now: NOW,
            ..CleanRequest::default()
        };
        assert_eq!(plan(&things, &all).freed, 60);
    }

    #[test]
    fn of_what_is_too_large_the_oldest_goes_first() {
        let with = |bytes| CleanRequest {
            max_bytes: Some(bytes),
            now: NOW,
            ..CleanRequest::default()
        };
        assert!(plan(&three(), &with(65)).delete.is_empty());
        let plan = plan(&three(), &with(40));
        let names: Vec<_> = plan.delete.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["oldest"]);
        assert_eq!((plan.freed, plan.kept), (30, 35));
    }

    #[test]
    fn what_somebody_uses_stays_whatever_is_asked_for() {
        let mut things = three();
        things[2].fate = Fate::Stays("a build holds its lock".to_owned());
        let request = CleanRequest {
            all: true,
            max_bytes: Some(1),
            now: NOW,
            ..CleanRequest::default()
        };
        let plan = plan(&things, &request);
        assert_eq!(plan.delete.len(), 2);
        assert_eq!(plan.in_use.len(), 1);
        assert_eq!(plan.kept, 35);
    }

    #[test]
    fn units_of_a_bucket_that_goes_are_not_counted_twice() {
        let units = Thing {
            kind: ThingKind::Units,
            fate: Fate::Goes(CleanReason::Stale(Vec::new())),
            within: Some(0),
            ..bucket("units", 0, &[file(1, 1, 4)])
        };
        let things = [bucket("bucket", 20, &[file(1, 1, 4), file(2, 1, 6)]), units];
        let alone = plan(&things, &CleanRequest::default());
        assert_eq!((alone.freed, alone.kept), (4, 6));
        for request in [
            CleanRequest {
                older_than: Some(Duration::from_secs(DAY)),
                now: NOW,
                ..CleanRequest::default()
            },
            CleanRequest {
                max_bytes: Some(1),
                ..CleanRequest::default()
            },
        ] {
            let plan = plan(&things, &request);
            assert_eq!(plan.delete.len(), 1);
            assert_eq!((plan.freed, plan.kept), (10, 0));
        }
    }

    #[test]
    fn of_other_projects_only_what_is_gone_or_old_goes() {
        let mut things = three();
        for thing in &mut things {
            thing.is_own = false;
        }
        things[0].fate = Fate::Goes(CleanReason::CheckoutGone("/work/x".to_owned()));
        let request = CleanRequest {
            all: true,
            ..CleanRequest::default()
        };
        assert_eq!(told(&things, request), ["new 10: /work/x is gone"]);
    }
}
