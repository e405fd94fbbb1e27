//! The `sccache` tier in the engine.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use super::{
    target::percent,
    work::{Brought, Collected, Selection, TierWork, bring_unpacked},
};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    key::KeyPart,
    place::{LockPlace, Staging},
    policy::Novelty,
    state::RunState,
    tier::{
        SccacheTree, TierName, read_sccache,
        sccache::{SCCACHE_ROOT, is_object},
    },
};

/// SCCACHE_DIR.
pub(super) struct SccacheWork {
    pub directory: PathBuf,
    /// How many bytes of it an entry holds at most.
    pub bound_bytes: u64,
    /// The last part of the key of an entry that this run stores.
    pub generation: KeyPart,
    /// The share of an entry's objects, 0 to 1, that must be new for it to be stored.
    pub threshold: f64,
}

impl TierWork for SccacheWork {
    fn tier(&self) -> TierName {
        TierName::Sccache
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        BTreeMap::from([(root(), self.directory.clone())])
    }

    fn select(&self, facts: &EntryFacts) -> anyhow::Result<Selection> {
        let objects = objects(facts);
        let all = objects.len();
        let missing: HashSet<_> = objects
            .into_iter()
            .filter(|object| fs_err::symlink_metadata(object.below(&self.directory)).is_err())
            .collect();
        let root = root();
        Ok(Selection {
            present: all - missing.len(),
            wanted: Box::new(move |member| {
                member
                    .strip_prefix(&root)
                    .is_some_and(|path| missing.contains(&path))
            }),
            left_out: None,
        })
    }

    fn put_in_place(
        &self,
        _root: &RelativePath,
        staging: &Staging,
        facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        bring_unpacked(staging, objects(facts))
    }

    /// None: it is no directory of Cargo's, and the server that writes to it has been stopped.
    fn locks(&self, _entry: Option<&EntryFacts>) -> Vec<LockPlace> {
        Vec::new()
    }

    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected> {
        let tree = read_sccache(&self.directory, self.bound_bytes);
        let root = root();
        let members = tree.objects.iter().map(|object| Member {
            name: root.join(&object.path),
            source: object.path.below(&self.directory),
        });
        Ok(Collected {
            groups: vec![Group {
                // Objects are compressed by whoever makes them.
                compression: Compression::Stored,
                members: members.collect(),
            }],
            raw_bytes: tree.bytes(),
            contents: Contents::Sccache(tree.names().map(str::to_owned).collect()),
            set: Some(self.generation.clone()),
            novelty: novelty(&tree, state, self.threshold),
            notes: told(&tree),
        })
    }
}

/// The name of the directory as a root in archives.
fn root() -> RelativePath {
    RelativePath::new(SCCACHE_ROOT).expect("invariant: the name is a plain one")
}

/// The objects that an entry holds. No entry is believed about what one is.
fn objects(facts: &EntryFacts) -> Vec<RelativePath> {
    names(facts)
        .iter()
        .filter_map(|name| RelativePath::new(name.as_str()).ok())
        .filter(is_object)
        .collect()
}

fn names(facts: &EntryFacts) -> &[String] {
    match &facts.contents {
        Contents::Sccache(names) => names,
        Contents::Registry(_)
        | Contents::Target { .. }
        | Contents::Tools(_)
        | Contents::Extra(_) => &[],
    }
}

fn told(tree: &SccacheTree) -> Vec<String> {
    let beyond = (tree.beyond_bound > 0).then(|| {
        format!(
            "{} objects that were not used lately are left out: the others reach SCCACHE_CACHE_SIZE",
            tree.beyond_bound
        )
    });
    tree.notes.iter().cloned().chain(beyond).collect()
}

/// Objects that the entry that was restored does not hold, if they are a worthwhile share of all.
fn novelty(tree: &SccacheTree, state: Option<&RunState>, threshold: f64) -> Novelty {
    let entry = state.and_then(|state| state.restored.get(&TierName::Sccache));
    let restored: HashSet<_> = entry
        .map_or(&[][..], |entry| names(&entry.facts))
        .iter()
        .map(String::as_str)
        .collect();
    let all = tree.objects.len();
    let new = tree.names().filter(|name| !restored.contains(name)).count();
    if new == 0 {
        return Novelty::Unchanged;
    }
    let share = share_of(new, all);
    if share < threshold {
        return Novelty::BelowThreshold {
            percent: percent(share),
            threshold_percent: percent(threshold),
        };
    }
    Novelty::New {
        why: match new {
            1 => "1 compilation was new".to_owned(),
            new => format!("{new} compilations were new"),
        },
    }
}

fn share_of(part: usize, all: usize) -> f64 {
    let count = |number| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    count(part) / count(all)
}
