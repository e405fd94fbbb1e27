//! The `tools` tier in the engine.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::work::{Brought, Collected, Selection, TierWork, cargo_home_root};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    place::{LockPlace, Staging, merge_tools},
    policy::Novelty,
    state::RunState,
    tier::{TierName, Tool, tools::new_tools},
};

/// CARGO_HOME/bin.
pub(super) struct ToolsWork {
    pub cargo_home: PathBuf,
    pub lock_wait: Duration,
}

impl TierWork for ToolsWork {
    fn tier(&self) -> TierName {
        TierName::Tools
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        BTreeMap::from([(cargo_home_root(), self.cargo_home.clone())])
    }

    fn select(&self, _facts: &EntryFacts) -> anyhow::Result<Selection> {
        Ok(Selection::all())
    }

    fn put_in_place(
        &self,
        _root: &RelativePath,
        staging: &Staging,
        facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        let merged = merge_tools(staging, tools(facts), self.lock_wait)?;
        Ok(Brought {
            placed: merged.placed.len(),
            present: 0,
            notes: merged
                .skipped
                .iter()
                .map(|skipped| format!("{} was left out: {}", skipped.name, skipped.reason))
                .collect(),
        })
    }

    /// None: merging takes the locks of the records itself.
    fn locks(&self, _entry: Option<&EntryFacts>) -> Vec<LockPlace> {
        Vec::new()
    }

    /// Without a list of what was there before, everything in bin would look new.
    fn needs_state(&self) -> Option<&'static str> {
        Some("what was in CARGO_HOME/bin before the job is not known")
    }

    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected> {
        let before = state
            .and_then(|state| state.tools_before.clone())
            .unwrap_or_default();
        let tree = new_tools(&before, &self.cargo_home);
        let root = cargo_home_root();
        let files = tree.tools.iter().flat_map(|tool| &tool.files);
        let members = files.clone().map(|file| Member {
            name: root.join(&file.path),
            source: file.path.below(&tree.cargo_home),
        });
        Ok(Collected {
            groups: vec![Group {
                compression: Compression::LongWindow,
                members: members.collect(),
            }],
            raw_bytes: files.map(|file| file.bytes).sum(),
            set: Some(tree.set()),
            novelty: novelty(&tree.tools, state),
            contents: Contents::Tools(tree.tools),
            notes: tree.notes,
        })
    }
}

/// The tools that an entry holds.
fn tools(facts: &EntryFacts) -> &[Tool] {
    match &facts.contents {
        Contents::Tools(tools) => tools,
        Contents::Registry(_)
        | Contents::Target { .. }
        | Contents::Sccache(_)
        | Contents::Extra(_) => &[],
    }
}

fn novelty(tools: &[Tool], state: Option<&RunState>) -> Novelty {
    let restored = state
        .and_then(|state| state.restored.get(&TierName::Tools))
        .map_or(&[][..], |entry| self::tools(&entry.facts));
    // A job that no longer installs anything keeps its entry: the next one may.
    if tools.is_empty() || tools == restored {
        return Novelty::Unchanged;
    }
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    Novelty::New {
        why: format!("installed by this job: {}", names.join(", ")),
    }
}
