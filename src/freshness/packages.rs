//! Which packages lie in the source trees: every manifest with a `[package]` in it.

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::sources::{Found, SourceKind};

/// A package in the source trees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// The name of its directory in the sources.
    pub root: String,
    /// Its name, as the manifest has it.
    pub name: String,
}

/// The packages whose manifests are among `entries`, sorted by root. A manifest that can't be read is none.
pub(super) fn read_packages(entries: &BTreeMap<String, Found>) -> Vec<Package> {
    let manifests: Vec<_> = entries
        .iter()
        .filter(|(_, found)| found.kind != SourceKind::Directory)
        .filter_map(|(name, found)| Some((name.strip_suffix("/Cargo.toml")?, found)))
        .collect();
    let mut packages: Vec<_> = manifests
        .into_par_iter()
        .filter_map(|(root, found)| {
            let text = fs_err::read_to_string(&found.path).ok()?;
            Some(Package {
                root: root.to_owned(),
                name: package_name(&text)?,
            })
        })
        .collect();
    packages.sort();
    packages
}

fn package_name(manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().ok()?;
    let package = manifest
        .get("package")
        .or_else(|| manifest.get("project"))?;
    Some(package.get("name")?.as_str()?.to_owned())
}
