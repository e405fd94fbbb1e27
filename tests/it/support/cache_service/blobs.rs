//! The storage: blobs of Azure's kind behind signed URLs, with its rules about blocks, lengths and ranges.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Inner, Op,
    http::{Request, Response},
};

/// A blob.
#[derive(Default)]
pub(super) struct Blob {
    blocks: BTreeMap<String, Vec<u8>>,
    content: Option<Arc<Vec<u8>>>,
}

impl Blob {
    /// One that is written by ranges.
    pub(super) fn of_ranges() -> Self {
        Self {
            content: Some(Arc::default()),
            ..Self::default()
        }
    }

    pub(super) fn content(&self) -> Option<&[u8]> {
        Some(self.content.as_ref()?)
    }

    /// Changes a byte in the middle.
    #[cfg(target_os = "linux")]
    pub(super) fn damage(&mut self) {
        let content = Arc::make_mut(self.content.get_or_insert_default());
        let middle = content.len() / 2;
        if let Some(byte) = content.get_mut(middle) {
            *byte ^= 0xff;
        }
    }

    pub(super) fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        let content = Arc::make_mut(self.content.get_or_insert_default());
        let end = offset + bytes.len();
        if content.len() == offset {
            content.extend_from_slice(bytes);
        } else {
            content.resize(content.len().max(end), 0);
            content[offset..end].copy_from_slice(bytes);
        }
    }
}

/// What a signature permits.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    id: u64,
    may_write: bool,
    /// How many requests are left, where that is bounded.
    uses: Option<u32>,
}

impl Inner {
    pub(super) fn url_to_read(&mut self, id: u64) -> String {
        self.sign(id, false)
    }

    pub(super) fn url_to_write(&mut self, id: u64) -> String {
        self.sign(id, true)
    }

    fn sign(&mut self, id: u64, may_write: bool) -> String {
        if let Some(foreign_url) = &self.foreign_url {
            return foreign_url(id, may_write);
        }
        // With escapes: who decodes and encodes again breaks it.
        let signature = format!("s%2F{}%2B{id}%3D", self.grants.len());
        let uses = self.uses_of_a_url;
        self.grants.insert(
            signature.clone(),
            Grant {
                id,
                may_write,
                uses,
            },
        );
        let permission = if may_write { "cw" } else { "r" };
        format!(
            "{}/devstoreaccount1/actions-cache/{id}?sv=2025-05-05&sr=b&sp={permission}&se=2026-11-21T12%3A00%3A00Z&sig={signature}",
            self.storage
        )
    }
}

pub(super) fn op_of(request: &Request) -> Option<Op> {
    match request.method.as_str() {
        "GET" | "HEAD" => Some(Op::Download),
        "PUT" if parameter(request, "comp") == Some("blocklist") => Some(Op::List),
        "PUT" => Some(Op::Upload),
        _ => None,
    }
}

fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let (_, query) = request.target.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

pub(super) fn answer(inner: &mut Inner, request: &Request) -> Response {
    if request.header("authorization").is_some() {
        return error(400, "InvalidAuthenticationInfo");
    }
    let grant = parameter(request, "sig").and_then(|signature| inner.grants.get_mut(signature));
    let Some(grant) = grant else {
        return error(403, "AuthenticationFailed");
    };
    if let Some(uses) = &mut grant.uses {
        if *uses == 0 {
            return error(403, "AuthenticationFailed");
        }
        *uses -= 1;
    }
    let grant = grant.clone();
    match request.method.as_str() {
        "GET" | "HEAD" if !grant.may_write => read(inner, grant.id, request),
        "PUT" if grant.may_write => write(inner, grant.id, request),
        _ => error(403, "AuthorizationPermissionMismatch"),
    }
}

fn read(inner: &Inner, id: u64, request: &Request) -> Response {
    let Some(content) = inner.blobs.get(&id).and_then(|blob| blob.content.clone()) else {
        return error(404, "BlobNotFound");
    };
    let range = request
        .header("range")
        .or_else(|| request.header("x-ms-range"))
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        .and_then(|(first, last)| {
            let last = last.parse().unwrap_or(usize::MAX);
            Some((first.parse::<usize>().ok()?, last))
        });
    let total = content.len();
    let Some((first, last)) = range else {
        return Response::new(200).with_content(content, 0..total);
    };
    if first >= total {
        return error(416, "InvalidRange");
    }
    let end = last.min(total - 1) + 1;
    Response::new(206)
        .with_header(
            "content-range",
            &format!("bytes {first}-{}/{total}", end - 1),
        )
        .with_content(content, first..end)
}

fn write(inner: &mut Inner, id: u64, request: &Request) -> Response {
    if request.header("content-length").is_none() {
        return error(411, "MissingContentLengthHeader");
    }
    let blob = inner.blobs.entry(id).or_default();
    match parameter(request, "comp") {
        Some("block") => {
            let name = parameter(request, "blockid").unwrap_or_default();
            let same_length = blob.blocks.keys().all(|known| known.len() == name.len());
            if name.is_empty() || !same_length || request.body.is_empty() {
                return error(400, "InvalidBlobOrBlock");
            }
            blob.blocks.insert(name.to_owned(), request.body.clone());
        }
        Some("blocklist") => {
            let list = String::from_utf8_lossy(&request.body);
            let mut content = Vec::new();
            for piece in list.split("<Latest>").skip(1) {
                let name = piece.split("</Latest>").next().unwrap_or_default();
                // Query and list differ in their escapes for `+`, `/` and `=`.
                let escaped = name
                    .replace('+', "%2B")
                    .replace('/', "%2F")
                    .replace('=', "%3D");
                match blob.blocks.get(name).or_else(|| blob.blocks.get(&escaped)) {
                    Some(block) => content.extend_from_slice(block),
                    None => return error(400, "InvalidBlockList"),
                }
            }
            blob.blocks.clear();
            blob.content = Some(Arc::new(content));
        }
        _ if request.header("x-ms-blob-type") != Some("BlockBlob") => {
            return error(400, "MissingRequiredHeader");
        }
        _ => blob.content = Some(Arc::new(request.body.clone())),
    }
    Response::new(201)
}

fn error(status: u16, code: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
    Response::new(status)
        .with_header("content-type", "application/xml")
        .with_body(body.into_bytes())
}
