//! Version 1: what GitHub Enterprise Server, act, Forgejo and Gitea speak.
//!
//! JSON in camel case below `_apis/artifactcache/`; the bytes go to the service itself, in ranges that may come in any
//! order. The size is told only where it is known: servers that stand in for GitHub take an entry without it.

use serde::{Deserialize, Serialize};
use ureq::{
    AsSendBody,
    http::{Method, Request, header},
};

use super::{
    error::ActionsError,
    http::{Answer, Http, Purpose},
    secret::{SignedUrl, Token},
    service::{Hit, Part, Service, Slot, persist},
    v2::in_one_line,
};

/// How often a call that does no harm twice is made.
const ATTEMPTS: u32 = 4;
/// How often a part is sent that does not arrive.
const PART_ATTEMPTS: u32 = 5;
const ACCEPTED: &str = "application/json;api-version=6.0-preview.1";
const READ_DENIED: &str = "cache read denied:";
const WRITE_DENIED: &str = "cache write denied:";
const QUOTA: &str = "insufficient usage";

/// A service of version 1.
#[derive(Clone)]
pub(super) struct V1 {
    /// Ends in `/`.
    pub(super) base: String,
    pub(super) token: Option<Token>,
    /// The SHA-256 that tells entries of other formats apart.
    pub(super) version: String,
    /// Called with whatever a log has to hide.
    pub(super) mask: fn(&str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    cache_key: String,
    #[serde(default)]
    scope: String,
    archive_location: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reserve<'a> {
    key: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_size: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reserved {
    cache_id: u64,
}

#[derive(Serialize)]
struct Commit {
    size: u64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Complaint {
    message: String,
    type_key: String,
}

impl V1 {
    fn call(
        &self,
        http: &Http,
        purpose: Purpose,
        method: Method,
        path: &str,
        body: impl AsSendBody,
        content: &[(header::HeaderName, String)],
    ) -> Result<Answer, ActionsError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}_apis/artifactcache/{path}", self.base))
            .header(header::ACCEPT, ACCEPTED);
        if let Some(token) = &self.token {
            let token = token.to_header().map_err(|_| ActionsError::TokenRefused)?;
            request = request.header(header::AUTHORIZATION, token);
        }
        for (name, value) in content {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|_| ActionsError::BadAddress {
            variable: "ACTIONS_CACHE_URL",
        })?;
        http.ask(purpose, request)
    }

    fn post(
        &self,
        http: &Http,
        path: &str,
        message: &impl Serialize,
    ) -> Result<Answer, ActionsError> {
        let body = serde_json::to_vec(message).unwrap_or_default();
        let content = [(header::CONTENT_TYPE, "application/json".to_owned())];
        self.call(
            http,
            Purpose::Call,
            Method::POST,
            path,
            body.as_slice(),
            &content,
        )
    }
}

/// What an answer says that is no success.
fn failure(answer: &Answer) -> ActionsError {
    let complaint: Complaint = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = in_one_line(&complaint.message);
    if message.contains(QUOTA) {
        return ActionsError::QuotaSpent { message };
    }
    if let Some(failure) = answer.common_failure() {
        return failure;
    }
    let behind = |prefix: &str| {
        let rest = message
            .split_once(prefix)
            .map_or(&*message, |(_, rest)| rest);
        rest.trim().to_owned()
    };
    match answer.status {
        401 => ActionsError::TokenRefused,
        403 if message.contains(WRITE_DENIED) => ActionsError::WriteDenied {
            message: behind(WRITE_DENIED),
        },
        403 => ActionsError::ReadDenied {
            message: behind(READ_DENIED),
        },
        404 => ActionsError::NotFound,
        status @ 400..500 => ActionsError::Refused { status, message },
        _ => not_understood(answer, "its status is an unusual one"),
    }
}

fn not_understood(answer: &Answer, what: &'static str) -> ActionsError {
    ActionsError::NotUnderstood {
        host: answer.host.clone(),
        what,
    }
}

fn is_success(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

impl Service for V1 {
    fn look_up(&self, http: &Http, keys: &[&str]) -> Result<Option<Hit>, ActionsError> {
        // Keys hold nothing that needs an escape, but for the comma between them.
        let path = format!("cache?keys={}&version={}", keys.join("%2C"), self.version);
        let answer = persist(http, ATTEMPTS, || {
            let answer = self.call(http, Purpose::Call, Method::GET, &path, (), &[])?;
            if is_success(&answer) {
                Ok(answer)
            } else {
                Err(failure(&answer))
            }
        })?;
        if answer.status == 204 {
            return Ok(None);
        }
        let entry: Entry = serde_json::from_slice(&answer.body)
            .map_err(|_| not_understood(&answer, "it is not JSON of the expected form"))?;
        let address = SignedUrl::parse(&entry.archive_location)
            .ok_or_else(|| not_understood(&answer, "the address of the entry is missing"))?;
        for signature in address.signatures() {
            (self.mask)(&signature);
        }
        Ok(Some(Hit {
            key: entry.cache_key,
            scope: entry.scope,
            address,
        }))
    }

    fn reserve(
        &self,
        http: &Http,
        key: &str,
        size: Option<u64>,
    ) -> Result<Option<Box<dyn Slot>>, ActionsError> {
        let message = Reserve {
            key,
            version: &self.version,
            cache_size: size,
        };
        let answer = self.post(http, "caches", &message)?;
        if answer.status == 409 {
            return Ok(None);
        }
        if !is_success(&answer) {
            let complaint: Complaint = serde_json::from_slice(&answer.body).unwrap_or_default();
            if complaint.type_key.contains("AlreadyExists") {
                return Ok(None);
            }
            return Err(match failure(&answer) {
                ActionsError::ReadDenied { message } => ActionsError::WriteDenied { message },
                failure => failure,
            });
        }
        let reserved: Reserved = serde_json::from_slice(&answer.body)
            .map_err(|_| not_understood(&answer, "it is not JSON of the expected form"))?;
        Ok(Some(Box::new(V1Slot {
            service: self.clone(),
            id: reserved.cache_id,
        })))
    }
}

/// A reserved key, by its number.
struct V1Slot {
    service: V1,
    id: u64,
}

impl V1Slot {
    fn put(&self, http: &Http, offset: u64, bytes: &[u8]) -> Result<(), ActionsError> {
        let Some(length) = (bytes.len() as u64).checked_sub(1) else {
            return Ok(());
        };
        let path = format!("caches/{}", self.id);
        let content = [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (
                header::CONTENT_RANGE,
                format!("bytes {offset}-{}/*", offset + length),
            ),
        ];
        persist(http, PART_ATTEMPTS, || {
            let answer = self.service.call(
                http,
                Purpose::Transfer,
                Method::PATCH,
                &path,
                bytes,
                &content,
            )?;
            if is_success(&answer) {
                Ok(())
            } else {
                Err(failure(&answer))
            }
        })
    }
}

impl Slot for V1Slot {
    fn put_whole(&self, http: &Http, bytes: &[u8]) -> Result<(), ActionsError> {
        self.put(http, 0, bytes)
    }

    fn put_part(&self, http: &Http, part: &Part) -> Result<(), ActionsError> {
        self.put(http, part.offset, &part.bytes)
    }

    fn finish(&self, http: &Http, _parts: u32, size: u64) -> Result<(), ActionsError> {
        let path = format!("caches/{}", self.id);
        persist(http, ATTEMPTS, || {
            let answer = self.service.post(http, &path, &Commit { size })?;
            if is_success(&answer) {
                Ok(())
            } else {
                Err(failure(&answer))
            }
        })
    }
}
