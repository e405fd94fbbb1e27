//! Units that cannot be restored into another directory than the one that they were compiled in.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
};

use crate::{
    archive::path::RelativePath,
    entry::{Contents, EntryFacts},
    unit::UnitRecord,
};

/// The units of an entry that hold the path of a directory that is elsewhere now, and those compiled against them.
#[derive(Debug, Default)]
pub(super) struct MovedUnits {
    /// Root and hash of each.
    hashes: HashSet<(RelativePath, String)>,
    /// The packages that hold the path themselves.
    packages: BTreeSet<String>,
    /// How many units were compiled against those.
    dependents: usize,
}

impl MovedUnits {
    /// Those of an entry, when its roots are to lie at `roots` now.
    pub(super) fn of(facts: &EntryFacts, roots: &BTreeMap<RelativePath, PathBuf>) -> Self {
        let Contents::Target { units, .. } = &facts.contents else {
            return Self::default();
        };
        let mut moved = Self::default();
        for (root, was) in &facts.roots {
            if roots.get(root) == Some(was) {
                continue;
            }
            let records: Vec<_> = units
                .iter()
                .filter(|(name, _)| name == root)
                .map(|(_, record)| record)
                .collect();
            moved.add(root, &records);
        }
        moved
    }

    fn add(&mut self, root: &RelativePath, records: &[&UnitRecord]) {
        let mut values = HashSet::new();
        let mut left_out = vec![false; records.len()];
        for (index, record) in records.iter().enumerate() {
            if record.holds_target {
                left_out[index] = true;
                values.extend(record.values.iter().map(String::as_str));
                self.packages.insert(record.id.package.clone());
            }
        }
        loop {
            let mut has_grown = false;
            for (index, record) in records.iter().enumerate() {
                let depends = || record.deps.iter().any(|dep| values.contains(dep.as_str()));
                if !left_out[index] && depends() {
                    left_out[index] = true;
                    has_grown = true;
                    values.extend(record.values.iter().map(String::as_str));
                    self.dependents += 1;
                }
            }
            if !has_grown {
                break;
            }
        }
        for (record, left_out) in records.iter().zip(left_out) {
            if left_out {
                self.hashes.insert((root.clone(), record.id.hash.clone()));
            }
        }
    }

    /// Whether the unit with this hash in the root called `root` is one of these.
    pub(super) fn has(&self, root: &RelativePath, hash: &str) -> bool {
        self.hashes.contains(&(root.clone(), hash.to_owned()))
    }

    /// Whether a member of the archive, by its name, belongs to one of these units. Every file of a unit has the unit's
    /// hash as a word of its name or of a directory above it; hard links to such a file without one are Cargo's final
    /// artefacts, which it makes again.
    pub(super) fn holds(&self, member: &RelativePath) -> bool {
        if self.hashes.is_empty() {
            return false;
        }
        self.hashes.iter().any(|(root, hash)| {
            member.strip_prefix(root).is_some_and(|path| {
                path.as_str()
                    .split(['/', '-', '.'])
                    .any(|word| word == hash)
            })
        })
    }

    /// What to tell the user, if there are any.
    pub(super) fn told(&self) -> Option<String> {
        if self.packages.is_empty() {
            return None;
        }
        let names: Vec<_> = self.packages.iter().map(String::as_str).collect();
        Some(format!(
            "left out, as their outputs hold the path of the old target directory: {}, and {} units compiled \
             against them",
            names.join(", "),
            self.dependents
        ))
    }
}
