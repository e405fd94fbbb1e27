//! The `extra` tier in the engine.

use std::{collections::BTreeMap, path::PathBuf};

use super::work::{Brought, Collected, Selection, TierWork};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    place::{LockPlace, Staging, place_where_empty},
    policy::Novelty,
    state::RunState,
    tier::{
        TierName,
        extra::{self, ExtraRoots},
    },
};

/// The directories that the user listed.
pub(super) struct ExtraWork {
    pub roots: ExtraRoots,
}

impl TierWork for ExtraWork {
    fn tier(&self) -> TierName {
        TierName::Extra
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        self.roots
            .roots
            .iter()
            .map(|root| (root.name.clone(), root.directory.clone()))
            .collect()
    }

    fn select(&self, _facts: &EntryFacts) -> anyhow::Result<Selection> {
        Ok(Selection::all())
    }

    fn put_in_place(
        &self,
        _root: &RelativePath,
        staging: &Staging,
        _facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        let placed = place_where_empty(staging)?;
        Ok(Brought {
            placed: usize::from(placed),
            present: usize::from(!placed),
            notes: Vec::new(),
        })
    }

    /// None: they are no directories of Cargo's.
    fn locks(&self, _entry: Option<&EntryFacts>) -> Vec<LockPlace> {
        Vec::new()
    }

    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected> {
        let mut collected = Collected {
            groups: Vec::new(),
            raw_bytes: 0,
            contents: Contents::Extra(Vec::new()),
            set: None,
            novelty: Novelty::Unchanged,
            notes: self.roots.notes.clone(),
        };
        let mut written = Vec::new();
        for root in &self.roots.roots {
            let tree = match root.read() {
                Ok(tree) => tree,
                Err(note) => {
                    collected.notes.push(note);
                    continue;
                }
            };
            collected.notes.extend(tree.notes);
            // Nothing is no content: what comes into it later is new.
            if tree.files.is_empty() {
                continue;
            }
            collected.raw_bytes += tree.files.iter().map(|file| file.bytes).sum::<u64>();
            let members = tree.files.iter().map(|file| Member {
                name: root.name.join(&file.path),
                source: file.path.below(&root.directory),
            });
            collected.groups.push(Group {
                compression: Compression::Normal,
                members: members.collect(),
            });
            written.push(root.written.clone());
        }
        collected.novelty = novelty(&written, state);
        collected.set = Some(extra::set(&written));
        collected.contents = Contents::Extra(written);
        Ok(collected)
    }
}

/// The directories of a restored entry of this lockfile are not stored again, whatever came into them.
fn novelty(held: &[String], state: Option<&RunState>) -> Novelty {
    let restored = state
        .and_then(|state| state.restored.get(&TierName::Extra))
        .filter(|entry| entry.exact)
        .map(|entry| directories(&entry.facts));
    let new: Vec<_> = held
        .iter()
        .filter(|written| !restored.is_some_and(|restored| restored.contains(written)))
        .map(String::as_str)
        .collect();
    match restored {
        _ if new.is_empty() => Novelty::Unchanged,
        None => Novelty::New {
            why: "nothing is stored for this lockfile".to_owned(),
        },
        Some(_) => Novelty::New {
            why: format!("not stored yet: {}", new.join(", ")),
        },
    }
}

/// The directories that an entry holds, as the user wrote them.
fn directories(facts: &EntryFacts) -> &[String] {
    match &facts.contents {
        Contents::Extra(directories) => directories,
        Contents::Registry(_)
        | Contents::Target { .. }
        | Contents::Sccache(_)
        | Contents::Tools(_) => &[],
    }
}
