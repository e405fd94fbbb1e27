//! The interface of the dependencies: what workspace artefacts were compiled against.
//!
//! Rlibs name the exact builds of their dependencies; with others, Cargo keeps old code silently or fails with E0460
//! and E0463 (measured, `tiers.md` section 2). rmeta files and procedural macros are what dependents read, and two
//! independent builds of the same dependencies agree on them, though not on their rlibs.
//!
//! Invariant: the digest depends on the units and these contents alone, not on order, times or where the target
//! directory lies. A file that can't be read is an error: an interface that is guessed would join builds that do not
//! belong together.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{FileKind, Unit, UnitFile, UnitId, UnitKind, scan::extension};
use crate::{
    files::digest_of_file,
    key::{Digest, DigestBuilder},
};

/// Why an interface could not be found.
#[derive(Debug, thiserror::Error)]
#[error("failed to hash {}", path.display())]
pub struct InterfaceError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The interface of a set of dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The digest over all units.
    pub digest: Digest,
    /// The digest of each unit that has something to compile against: goes into its [`super::UnitRecord`].
    pub units: BTreeMap<UnitId, Digest>,
}

/// The interface of those of `units` that belong to the `deps` tier, whose files lie in the target directory
/// `directory`. What `known` holds is not read: see [`super::known_interfaces`].
pub fn interface<'a>(
    directory: &Path,
    units: impl IntoIterator<Item = &'a Unit>,
    known: &BTreeMap<UnitId, Digest>,
) -> Result<Interface, InterfaceError> {
    let units: Vec<_> = units
        .into_iter()
        .filter(|unit| unit.origin.is_cargo_home())
        .collect();
    let digests = units
        .into_par_iter()
        .map(|unit| {
            let digest = match known.get(&unit.id) {
                Some(digest) => Some(*digest),
                None => unit_interface(directory, unit)?,
            };
            Ok((&unit.id, digest))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Interface {
        digest: combine(digests.iter().copied()),
        units: digests
            .iter()
            .filter_map(|(id, digest)| Some(((*id).clone(), (*digest)?)))
            .collect(),
    })
}

fn combine<'a>(units: impl Iterator<Item = (&'a UnitId, Option<Digest>)>) -> Digest {
    let sorted: BTreeMap<_, _> = units.collect();
    let mut builder = DigestBuilder::new();
    for (id, digest) in sorted {
        builder
            .field("profile", id.profile.as_str())
            .field("package", &id.package)
            .field("hash", &id.hash);
        if let Some(digest) = digest {
            builder.field("interface", digest.as_raw());
        }
    }
    builder.finish()
}

/// The digest over the names and contents of what dependents of `unit` read; `None` if there is nothing.
fn unit_interface(directory: &Path, unit: &Unit) -> Result<Option<Digest>, InterfaceError> {
    let mut files: Vec<_> = unit
        .files
        .iter()
        .filter(|file| is_interface(unit.kind, file))
        .map(|file| &file.path)
        .collect();
    if files.is_empty() {
        return Ok(None);
    }
    // Hard links of one file have their names as well: uplifting may or may not have happened, so only a name that
    // carries the unit's hash counts, or the only ones there are.
    if files
        .iter()
        .any(|path| path.file_name().contains(&unit.id.hash))
    {
        files.retain(|path| path.file_name().contains(&unit.id.hash));
    }
    files.sort();
    let mut builder = DigestBuilder::new();
    for path in files {
        let place = path.below(directory);
        let digest = digest_of_file(&place).map_err(|source| InterfaceError {
            path: place,
            source,
        })?;
        builder.field(path.file_name(), digest.as_raw());
    }
    Ok(Some(builder.finish()))
}

fn is_interface(kind: UnitKind, file: &UnitFile) -> bool {
    let extension = extension(file.path.file_name());
    file.kind == FileKind::File
        && !file.is_fingerprint
        // A build script's `out` may hold anything, by any name.
        && kind != UnitKind::BuildScriptRun
        && match extension {
            Some("rmeta") => true,
            Some("so" | "dylib" | "dll") => kind == UnitKind::ProcMacro,
            _ => false,
        }
}
