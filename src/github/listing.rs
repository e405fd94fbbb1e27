//! A repository's caches as one listing, in as few requests as that takes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    GitHub, GitHubError,
    caches::{Order, PAGE},
    refs::MOST_REFERENCES,
};
use crate::inventory::{
    Count, DEFAULT_LIMIT, Limit, ListedEntry, Listing, Place, RefState, Unlisted,
};

/// How many pages are asked for at most unless somebody wants fewer. sccache's own backend makes hundreds of thousands of entries, and a job has a
/// thousand requests an hour.
const MOST_PAGES: usize = 30;

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What keys begin with; empty for all.
    pub prefix: String,
    /// The only scope to look at; `None` for all.
    pub scope: Option<String>,
    /// How much may be stored, if the user said so.
    pub limit: Option<u64>,
    /// Whether to ask which branches and pull requests still exist.
    pub refs: bool,
    /// How many pages of 100 entries to ask for at most, if fewer than usual.
    pub pages: Option<usize>,
}

impl GitHub {
    /// Lists what the repository holds, as of `now`. Fails where the list can't be had; whatever else can't is noted.
    pub fn list(&self, wanted: &Wanted, now: Timestamp) -> Result<Listing, GitHubError> {
        let (mut entries, total) = self.entries(wanted)?;
        let mut notes = Vec::new();
        let mut unlisted = None;
        if (entries.len() as u64) < total {
            let listed = entries.len();
            notes.push(format!(
                "{listed} of {total} entries were looked at: the newest, and those that go next"
            ));
            let found = self.page(
                &wanted.prefix,
                wanted.scope.as_deref(),
                Order::UnusedFirst,
                1,
            )?;
            add_new(&mut entries, found.into_entries());
            unlisted = Some(self.unlisted(&entries, total, &mut notes));
        }
        let refs = if wanted.refs {
            self.refs_of(&entries, &mut notes)
        } else {
            BTreeMap::new()
        };
        let stored: u64 = entries.iter().map(|entry| entry.bytes).sum();
        Ok(Listing {
            place: Place::Repository(self.address.repository.to_string()),
            taken_at: now,
            limit: self.limit(wanted, stored),
            entries,
            unlisted,
            refs,
            jobs: BTreeMap::new(),
            notes,
        })
    }

    /// The newest entries, each once, and how many there are in all.
    fn entries(&self, wanted: &Wanted) -> Result<(Vec<ListedEntry>, u64), GitHubError> {
        let mut entries = Vec::new();
        let mut total = 0;
        for number in 1..=wanted.pages.unwrap_or(MOST_PAGES) {
            let scope = wanted.scope.as_deref();
            let page = self.page(&wanted.prefix, scope, Order::NewestFirst, number)?;
            total = page.total_count;
            let found = page.into_entries();
            let is_last = found.len() < PAGE || (number * PAGE) as u64 >= total;
            add_new(&mut entries, found);
            if is_last {
                // What was deleted meanwhile is not missing.
                total = entries.len() as u64;
                break;
            }
        }
        Ok((entries, total))
    }

    fn unlisted(&self, entries: &[ListedEntry], total: u64, notes: &mut Vec<String>) -> Unlisted {
        let listed: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let bytes = match self.usage() {
            Ok(usage) => usage.bytes.saturating_sub(listed),
            Err(error) => {
                notes.push(format!("how large the others are is not known: {error}"));
                0
            }
        };
        Unlisted {
            why: "more entries than were asked for".to_owned(),
            count: Count {
                entries: total.saturating_sub(entries.len() as u64),
                bytes,
            },
        }
    }

    /// What is known of the scopes of `entries`; trouble with that is noted.
    fn refs_of(
        &self,
        entries: &[ListedEntry],
        notes: &mut Vec<String>,
    ) -> BTreeMap<String, RefState> {
        let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in entries {
            *bytes.entry(&entry.scope).or_default() += entry.bytes;
        }
        let mut references: Vec<_> = bytes.into_iter().collect();
        references.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let references: Vec<_> = references.into_iter().map(|(scope, _)| scope).collect();
        if references.is_empty() {
            return BTreeMap::new();
        }
        if references.len() > MOST_REFERENCES {
            notes.push(format!(
                "of {} branches and pull requests, the {MOST_REFERENCES} with the largest entries were looked up",
                references.len()
            ));
        }
        let unknown = "which branches and pull requests still exist is not known";
        if self.address.token.is_none() {
            notes.push(format!("{unknown}: that takes a token (GITHUB_TOKEN)"));
            return BTreeMap::new();
        }
        let asked = &references[..references.len().min(MOST_REFERENCES)];
        match self.ref_states(asked) {
            Ok(states) => {
                let silent = asked.iter().filter(|name| !states.contains_key(**name));
                let silent = silent.count();
                if silent > 0 {
                    notes.push(format!(
                        "whether {silent} branches or pull requests still exist is not known: GitHub did not say"
                    ));
                }
                states
            }
            Err(error) => {
                notes.push(format!("{unknown}: {error}"));
                BTreeMap::new()
            }
        }
    }

    /// How much may be stored. Only where more is stored than usual does GitHub have another answer than the usual one, and
    /// only to administrators, which a job's own token never is.
    fn limit(&self, wanted: &Wanted, stored: u64) -> Limit {
        let asked = || {
            let worth_asking =
                stored > DEFAULT_LIMIT && self.address.token.is_some() && !self.address.is_runner;
            if !worth_asking {
                return None;
            }
            match self.storage_limit() {
                Ok(limit) => Some(limit),
                Err(error) => {
                    tracing::debug!("the limit is not known: {error}");
                    None
                }
            }
        };
        match wanted.limit.or_else(asked) {
            Some(bytes) => Limit {
                bytes,
                is_known: true,
            },
            None => Limit {
                bytes: DEFAULT_LIMIT,
                is_known: false,
            },
        }
    }
}

/// Adds those of `found` that are not there yet.
fn add_new(entries: &mut Vec<ListedEntry>, found: Vec<ListedEntry>) {
    let mut known: BTreeSet<_> = entries.iter().map(|entry| entry.id).collect();
    entries.extend(found.into_iter().filter(|entry| known.insert(entry.id)));
}
