//! Version 2: three calls in Twirp's JSON, and a blob of Azure's kind for the bytes.
//!
//! The messages are `github.actions.results.api.v1.CacheService`'s, as GitHub's own client sends them: names in snake
//! case, empty fields left out, 64-bit numbers as text.

use serde::{Deserialize, Serialize};
use ureq::http::{Method, Request, header};

use super::{
    blob::Blob,
    error::ActionsError,
    http::{Answer, Http, Purpose},
    secret::{SignedUrl, Token},
    service::{Hit, Part, Service, Slot, persist},
};

/// How often a call that does no harm twice is made.
const ATTEMPTS: u32 = 4;
/// A policy's refusals begin with these words, whatever their status is.
const READ_DENIED: &str = "cache read denied:";
const WRITE_DENIED: &str = "cache write denied:";
/// What errors say that are about the repository's quota.
const QUOTA: &str = "insufficient usage";

/// A service of version 2.
pub(super) struct V2 {
    pub(super) base: String,
    pub(super) token: Token,
    /// The SHA-256 that tells entries of other formats apart.
    pub(super) version: String,
    /// Called with whatever a log has to hide.
    pub(super) mask: fn(&str),
}

#[derive(Serialize)]
struct LookUp<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    restore_keys: &'a [&'a str],
    version: &'a str,
}

#[derive(Serialize)]
struct Create<'a> {
    key: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Finalize<'a> {
    key: &'a str,
    size_bytes: String,
    version: &'a str,
}

/// Any answer. Fields that are empty may be missing, and some servers write them in camel case.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    ok: bool,
    #[serde(alias = "signedUploadUrl")]
    signed_upload_url: String,
    #[serde(alias = "signedDownloadUrl")]
    signed_download_url: String,
    #[serde(alias = "matchedKey")]
    matched_key: String,
    message: String,
}

/// What a failed call says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: String,
    #[serde(alias = "message")]
    msg: String,
}

/// What came of a call.
enum Outcome {
    Reply(Reply),
    /// 409.
    AlreadyExists,
}

impl V2 {
    fn call(
        &self,
        http: &Http,
        method: &str,
        message: &impl Serialize,
    ) -> Result<Outcome, ActionsError> {
        let bad = || ActionsError::BadAddress {
            variable: "ACTIONS_RESULTS_URL",
        };
        let body = serde_json::to_vec(message).map_err(|_| bad())?;
        let token = self
            .token
            .to_header()
            .map_err(|_| ActionsError::TokenRefused)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!(
                "{}/twirp/github.actions.results.api.v1.CacheService/{method}",
                self.base
            ))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, token)
            .body(body.as_slice())
            .map_err(|_| bad())?;
        judge(&http.ask(Purpose::Call, request)?)
    }

    fn address(&self, url: &str, host: &str) -> Result<SignedUrl, ActionsError> {
        let address = SignedUrl::parse(url).ok_or(ActionsError::NotUnderstood {
            host: host.to_owned(),
            what: "the address of the entry is missing",
        })?;
        for signature in address.signatures() {
            (self.mask)(&signature);
        }
        Ok(address)
    }

    fn host(&self) -> String {
        let uri: Option<ureq::http::Uri> = self.base.parse().ok();
        uri.as_ref().map(super::http::host_of).unwrap_or_default()
    }
}

/// Sorts an answer.
fn judge(answer: &Answer) -> Result<Outcome, ActionsError> {
    let not_understood = |what| ActionsError::NotUnderstood {
        host: answer.host.clone(),
        what,
    };
    if (200..300).contains(&answer.status) {
        let reply = serde_json::from_slice(&answer.body);
        return reply
            .map(Outcome::Reply)
            .map_err(|_| not_understood("it is not JSON of the expected form"));
    }
    let complaint: Complaint = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = in_one_line(&complaint.msg);
    if message.contains(QUOTA) {
        return Err(ActionsError::QuotaSpent { message });
    }
    if let Some(failure) = answer.common_failure() {
        return Err(failure);
    }
    Err(match answer.status {
        409 => return Ok(Outcome::AlreadyExists),
        401 => ActionsError::TokenRefused,
        403 if message.contains(WRITE_DENIED) => ActionsError::WriteDenied {
            message: behind(&message, WRITE_DENIED),
        },
        403 => ActionsError::ReadDenied {
            message: behind(&message, READ_DENIED),
        },
        404 if complaint.code == "not_found" => ActionsError::NotFound,
        404 => not_understood("it knows no such call"),
        status @ 400..500 => ActionsError::Refused { status, message },
        _ => not_understood("its status is an unusual one"),
    })
}

/// What a message says behind a prefix, or all of it.
fn behind(message: &str, prefix: &str) -> String {
    let at = message.find(prefix).map_or(0, |at| at + prefix.len());
    message[at..].trim().to_owned()
}

/// The service's own words go into a log: one line, and not a long one.
pub(super) fn in_one_line(message: &str) -> String {
    let words: Vec<_> = message
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(300).collect()
}

impl Service for V2 {
    fn look_up(&self, http: &Http, keys: &[&str]) -> Result<Option<Hit>, ActionsError> {
        let Some((key, restore_keys)) = keys.split_first() else {
            return Ok(None);
        };
        let message = LookUp {
            key,
            restore_keys,
            version: &self.version,
        };
        let outcome = persist(http, ATTEMPTS, || {
            self.call(http, "GetCacheEntryDownloadURL", &message)
        })?;
        match outcome {
            Outcome::Reply(reply) if reply.ok => Ok(Some(Hit {
                address: self.address(&reply.signed_download_url, &self.host())?,
                key: reply.matched_key,
                scope: String::new(),
            })),
            Outcome::Reply(reply) if reply.message.contains(READ_DENIED) => {
                Err(ActionsError::ReadDenied {
                    message: behind(&in_one_line(&reply.message), READ_DENIED),
                })
            }
            Outcome::Reply(_) | Outcome::AlreadyExists => Ok(None),
        }
    }

    fn reserve(
        &self,
        http: &Http,
        key: &str,
        _size: Option<u64>,
    ) -> Result<Option<Box<dyn Slot>>, ActionsError> {
        let message = Create {
            key,
            version: &self.version,
        };
        let reply = match self.call(http, "CreateCacheEntry", &message)? {
            Outcome::AlreadyExists => return Ok(None),
            Outcome::Reply(reply) => reply,
        };
        let message = in_one_line(&reply.message);
        if message.contains(WRITE_DENIED) {
            return Err(ActionsError::WriteDenied {
                message: behind(&message, WRITE_DENIED),
            });
        }
        match (reply.ok, message.as_str()) {
            (true, _) => {
                let address = self.address(&reply.signed_upload_url, &self.host())?;
                Ok(Some(Box::new(V2Slot {
                    blob: Blob::new(address, key),
                    call: FinalizeCall {
                        base: self.base.clone(),
                        token: self.token.clone(),
                        version: self.version.clone(),
                        key: key.to_owned(),
                    },
                })))
            }
            (false, "") => Ok(None),
            (false, _) => Err(ActionsError::NotKept { message }),
        }
    }
}

/// A reserved key and its blob.
struct V2Slot {
    blob: Blob,
    call: FinalizeCall,
}

/// What the last call needs to know.
struct FinalizeCall {
    base: String,
    token: Token,
    version: String,
    key: String,
}

impl Slot for V2Slot {
    fn put_whole(&self, http: &Http, bytes: &[u8]) -> Result<(), ActionsError> {
        self.blob.put(http, bytes)
    }

    fn put_part(&self, http: &Http, part: &Part) -> Result<(), ActionsError> {
        self.blob.put_block(http, part.number, &part.bytes)
    }

    fn finish(&self, http: &Http, parts: u32, size: u64) -> Result<(), ActionsError> {
        if parts > 0 {
            self.blob.put_block_list(http, parts)?;
        }
        self.call.finalize(http, size)
    }
}

impl FinalizeCall {
    fn finalize(&self, http: &Http, size: u64) -> Result<(), ActionsError> {
        let service = V2 {
            base: self.base.clone(),
            token: self.token.clone(),
            version: self.version.clone(),
            mask: |_| {},
        };
        let message = Finalize {
            key: &self.key,
            size_bytes: size.to_string(),
            version: &self.version,
        };
        let call = || service.call(http, "FinalizeCacheEntryUpload", &message);
        let mut outcome = persist(http, ATTEMPTS, call);
        // A blob that was written a moment ago may not be seen everywhere yet.
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Err(ActionsError::NotFound)) {
                break;
            }
            http.sleep(http.limits().first_pause * 2)?;
            outcome = persist(http, ATTEMPTS, call);
        }
        match outcome? {
            Outcome::Reply(reply) if reply.ok => Ok(()),
            Outcome::Reply(reply) => Err(ActionsError::NotKept {
                message: in_one_line(&reply.message),
            }),
            // An earlier attempt was heard, and its answer lost.
            Outcome::AlreadyExists => Ok(()),
        }
    }
}
