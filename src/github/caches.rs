//! The REST calls about caches: <https://docs.github.com/rest/actions/cache>.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::Method;

use super::{
    GitHub, GitHubError,
    client::{Answer, Call},
};
use crate::inventory::{Count, ListedEntry};

/// How many entries a page has: the most that GitHub gives.
pub(super) const PAGE: usize = 100;
const READ: &str = "actions: read";
const WRITE: &str = "actions: write";

/// How pages are sorted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// The newest first: what is stored meanwhile shifts entries to later pages, where they come twice and not never.
    NewestFirst,
    /// What was used longest ago first.
    UnusedFirst,
}

/// A page of the list.
#[derive(Deserialize)]
pub(super) struct Page {
    /// How many entries there are on all pages.
    pub total_count: u64,
    actions_caches: Vec<Cache>,
}

#[derive(Deserialize)]
struct Cache {
    id: u64,
    r#ref: Option<String>,
    key: Option<String>,
    version: Option<String>,
    last_accessed_at: Timestamp,
    created_at: Timestamp,
    size_in_bytes: u64,
}

#[derive(Deserialize)]
struct Usage {
    active_caches_size_in_bytes: u64,
    active_caches_count: u64,
}

#[derive(Deserialize)]
struct StorageLimit {
    max_cache_size_gb: u64,
}

impl Page {
    /// The page's entries.
    pub(super) fn into_entries(self) -> Vec<ListedEntry> {
        let entries = self.actions_caches.into_iter().map(|cache| ListedEntry {
            id: Some(cache.id),
            key: cache.key.unwrap_or_default(),
            scope: cache.r#ref.unwrap_or_default(),
            version: cache.version.unwrap_or_default(),
            bytes: cache.size_in_bytes,
            created_at: cache.created_at,
            used_at: cache.last_accessed_at,
        });
        entries.collect()
    }
}

impl GitHub {
    /// One page of the entries whose keys begin with `prefix`, on all branches or on the one of `reference`.
    pub(super) fn page(
        &self,
        prefix: &str,
        reference: Option<&str>,
        order: Order,
        number: usize,
    ) -> Result<Page, GitHubError> {
        let (sort, direction) = match order {
            Order::NewestFirst => ("created_at", "desc"),
            Order::UnusedFirst => ("last_accessed_at", "asc"),
        };
        let mut path = format!(
            "actions/caches?per_page={PAGE}&page={number}&sort={sort}&direction={direction}"
        );
        for (name, value) in [("key", Some(prefix)), ("ref", reference)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                path.extend(["&", name, "=", &value.to_string()]);
            }
        }
        self.ask(&self.reading("list caches", &path), "a list of caches")
    }

    /// How much there is in all. Up to five minutes old, and one request however much that is.
    pub(super) fn usage(&self) -> Result<Count, GitHubError> {
        let call = self.reading("see how much is stored", "actions/cache/usage");
        let usage: Usage = self.ask(&call, "how much is stored")?;
        Ok(Count {
            entries: usage.active_caches_count,
            bytes: usage.active_caches_size_in_bytes,
        })
    }

    /// How much may be stored, in bytes. Only an administrator's token gets an answer.
    pub(super) fn storage_limit(&self) -> Result<u64, GitHubError> {
        let call = self.reading("see the limit", "actions/cache/storage-limit");
        let limit: StorageLimit = self.ask(&call, "a limit")?;
        Ok(limit.max_cache_size_gb.saturating_mul(1_000_000_000))
    }

    /// Deletes the entry of that number. `Ok(false)`: it was gone already.
    pub fn delete(&self, id: u64) -> Result<bool, GitHubError> {
        let call = Call {
            attempt: "delete caches",
            needs: WRITE,
            method: Method::DELETE,
            changes: true,
            ..self.reading("", &format!("actions/caches/{id}"))
        };
        let Answer { status, .. } = self.call(&call)?;
        Ok(status != 404)
    }

    fn reading(&self, attempt: &'static str, path: &str) -> Call<'static> {
        let repository = &self.address.repository;
        Call {
            attempt,
            needs: READ,
            method: Method::GET,
            url: format!("{}/repos/{repository}/{path}", self.address.rest),
            body: None,
            changes: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_documents_is_read() {
        let page: Page = serde_json::from_str(
            r#"{"total_count": 2, "actions_caches": [
                {"id": 505, "ref": "refs/heads/main", "key": "Linux-node-958aff96db2d75d67787d1e634ae70b659de937b",
                 "version": "73885106f58cc52a7df9ec4d4a5622a5614813162cb516c759a30af6bf56e6f0",
                 "last_accessed_at": "2019-01-24T22:45:36.000Z", "created_at": "2019-01-24T22:45:36.000Z",
                 "size_in_bytes": 1024},
                {"id": 506, "ref": null, "key": null, "version": null,
                 "last_accessed_at": "2026-11-20T22:45:36.1234567Z", "created_at": "2026-11-20T22:45:36+00:00",
                 "size_in_bytes": 0, "something": "new"}
            ]}"#,
        )
        .expect("it is a page");
        assert_eq!(page.total_count, 2);
        let entries = page.into_entries();
        assert_eq!(entries[0].scope, "refs/heads/main");
        assert_eq!(entries[0].created_at, entries[0].used_at);
        assert!(entries[1].used_at > entries[1].created_at);
    }
}
