//! Making room: the entries that went unused for longest go first.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use super::{StoreError, StoredEntry, entry, layout::Layout, lock::StoreLock};

/// Removes entries until all together have at most `max_bytes`, but never the one at `keep`. Returns how many went.
///
/// An entry that can't be removed, as Windows refuses while somebody reads it, is left for the next time.
pub(super) fn evict(
    layout: &Layout,
    max_bytes: u64,
    keep: &Path,
    lock: &StoreLock,
) -> Result<usize, StoreError> {
    let entries = entry::list(layout)?;
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let mut evicted = 0;
    for entry in in_order_of_eviction(entries) {
        if total <= max_bytes {
            break;
        }
        let path = layout.entry(&entry.project, &entry.scope, &entry.key);
        if path == keep {
            continue;
        }
        match remove(layout, &path, lock) {
            Ok(_) => {
                total -= entry.bytes;
                evicted += 1;
            }
            Err(error) => tracing::debug!("{} stays: {error}", path.display()),
        }
    }
    Ok(evicted)
}

/// Removes the entry at `path`, and the directories of its scope and project if they are empty then. `Ok(false)`: there
/// was none. Only under the lock, so that no upload loses the directory that it is about to use.
pub(super) fn remove(layout: &Layout, path: &Path, _lock: &StoreLock) -> io::Result<bool> {
    let existed = match fs_err::remove_file(path) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let entries = layout.entries();
    for directory in path.ancestors().skip(1).take_while(|path| *path != entries) {
        // Fails where something is left in it, which ends the climb.
        if fs_err::remove_dir(directory).is_err() {
            break;
        }
    }
    Ok(existed)
}

/// The least recently used first; of equals the older, then by name.
fn in_order_of_eviction(mut entries: Vec<StoredEntry>) -> Vec<StoredEntry> {
    entries.sort_by(|a, b| {
        let age = |entry: &StoredEntry| (entry.used_at, entry.created_at);
        age(a).cmp(&age(b)).then_with(|| a.cmp(b))
    });
    entries
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filetime::FileTime;
    use proptest::prelude::*;

    use super::{super::StoredName, *};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_stays_fits_and_was_used_later_than_what_went(
            sizes_and_uses in prop::collection::vec((0_usize..50, 0_i64..5), 1..10),
            max_bytes in 0_u64..200,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let layout = Layout::below(directory.path());
            layout.create().unwrap();
            let [project, scope] = ["it", "local"].map(StoredName::of);
            fs_err::create_dir_all(layout.scope(&project, &scope)).unwrap();
            for (key, (bytes, used_at)) in sizes_and_uses.iter().enumerate() {
                let path = layout.entry(&project, &scope, &key.to_string());
                fs_err::write(&path, vec![0; *bytes]).unwrap();
                let time = |seconds| FileTime::from_unix_time(seconds, 0);
                filetime::set_file_times(&path, time(*used_at), time(0)).unwrap();
            }
            let before = entry::list(&layout).unwrap();
            let keep = layout.entry(&project, &scope, "0");
            let lock = StoreLock::acquire(&layout.lock(), Duration::ZERO).unwrap();
            let evicted = evict(&layout, max_bytes, &keep, &lock).unwrap();
            let after = entry::list(&layout).unwrap();

            prop_assert_eq!(before.len() - after.len(), evicted);
            let total: u64 = after.iter().map(|entry| entry.bytes).sum();
            prop_assert!(total <= max_bytes || after.len() == 1);
            prop_assert!(after.iter().any(|entry| entry.key == "0"));
            let gone = before.iter().filter(|entry| !after.contains(entry));
            let last_gone = gone.max_by_key(|entry| entry.used_at);
            if let Some(last_gone) = last_gone {
                for stays in after.iter().filter(|entry| entry.key != "0") {
                    prop_assert!(stays.used_at >= last_gone.used_at);
                }
            }
            prop_assert_eq!(evict(&layout, max_bytes, &keep, &lock).unwrap(), 0);
        }
    }
}
