//! A blob of Azure's kind, behind a signed URL: the part of its REST interface that entries need.
//!
//! Microsoft documents it as Put Blob, Put Block and Put Block List. The signature is the permission: no token is sent
//! along. Blocks are named as GitHub's own client names them, because servers that stand in for the service read the
//! order of the blocks from their names.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ureq::http::{Method, Request, StatusCode, header, request};

use super::{
    error::ActionsError,
    http::{Answer, Http, Purpose},
    secret::SignedUrl,
    service::persist,
};
use crate::key::DigestBuilder;

/// How often a request is made that comes to nothing.
const ATTEMPTS: u32 = 5;

/// A blob that is being written.
#[derive(Debug)]
pub(super) struct Blob {
    address: SignedUrl,
    /// What the names of its blocks begin with: the form of a UUID.
    id: String,
}

impl Blob {
    pub(super) fn new(address: SignedUrl, key: &str) -> Self {
        Self {
            address,
            id: uuid_of(key),
        }
    }

    /// Writes the whole blob at once.
    pub(super) fn put(&self, http: &Http, bytes: &[u8]) -> Result<(), ActionsError> {
        self.send(http, self.address.expose(), bytes, |request| {
            request
                .header("x-ms-blob-type", "BlockBlob")
                .header(header::CONTENT_TYPE, "application/octet-stream")
        })
    }

    /// Writes one block. It counts for nothing until it is listed.
    pub(super) fn put_block(
        &self,
        http: &Http,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), ActionsError> {
        let query = format!("comp=block&blockid={}", self.block_name(number));
        let url = self.address.with_query(&query);
        self.send(http, &url, bytes, |request| {
            request.header(header::CONTENT_TYPE, "application/octet-stream")
        })
    }

    /// Makes the blob of its first `count` blocks.
    pub(super) fn put_block_list(&self, http: &Http, count: u32) -> Result<(), ActionsError> {
        let mut list = String::from(r#"<?xml version="1.0" encoding="UTF-8"?><BlockList>"#);
        for number in 0..count {
            let _infallible = write!(list, "<Latest>{}</Latest>", self.block_name(number));
        }
        list.push_str("</BlockList>");
        let url = self.address.with_query("comp=blocklist");
        self.send(http, &url, list.as_bytes(), |request| {
            request.header(header::CONTENT_TYPE, "application/xml")
        })
    }

    /// The name of a block. Base64 of nothing but hexadecimal digits and `-` needs no escapes in a query.
    fn block_name(&self, number: u32) -> String {
        STANDARD.encode(format!("{}{number:012}", self.id))
    }

    fn send(
        &self,
        http: &Http,
        url: &str,
        bytes: &[u8],
        headers: impl Fn(request::Builder) -> request::Builder,
    ) -> Result<(), ActionsError> {
        persist(http, ATTEMPTS, || {
            let request = headers(Request::builder().method(Method::PUT).uri(url))
                .body(bytes)
                .map_err(|_| self.refused("no address"))?;
            let answer = http.ask(Purpose::Transfer, request)?;
            if StatusCode::from_u16(answer.status).is_ok_and(|status| status.is_success()) {
                return Ok(());
            }
            Err(answer
                .common_failure()
                .unwrap_or_else(|| self.refused(&code_of(&answer))))
        })
    }

    fn refused(&self, code: &str) -> ActionsError {
        ActionsError::UploadRefused {
            host: self.address.host().to_owned(),
            code: code.to_owned(),
        }
    }
}

/// What a storage calls an error: the code in its XML, else the status.
pub(super) fn code_of(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code)
        .filter(|code| code.len() < 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    code.map_or_else(|| format!("status {}", answer.status), str::to_owned)
}

/// 32 digits in the form of a UUID. They need to differ from nothing but other blobs of the same address.
fn uuid_of(key: &str) -> String {
    let mut builder = DigestBuilder::new();
    builder.field("key", key);
    builder.field("process", std::process::id().to_string());
    let digits = builder.finish().to_string();
    [0..8, 8..12, 12..16, 16..20, 20..32]
        .map(|range| &digits[range])
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_names_that_githubs_client_gives_them() {
        let address = SignedUrl::parse("http://blob/1?sig=x").unwrap();
        let blob = Blob {
            address,
            id: "8dc5167d-14a7-4141-8067-9834ec43d9ea".to_owned(),
        };
        // As captured from @actions/cache 6.3.0.
        let name = blob.block_name(2);
        assert!(name.starts_with("OGRj") && name.ends_with("MDAy"), "{name}");
        assert_eq!(name.len(), 64);
        assert_eq!(uuid_of("a-key").len(), 36);
    }

    #[test]
    fn names_of_blocks_need_no_escapes() {
        let address = SignedUrl::parse("http://blob/1?sig=x").unwrap();
        for key in 0..200 {
            let blob = Blob::new(address.clone(), &key.to_string());
            let name = blob.block_name(key * 7919);
            assert!(
                name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{name}"
            );
        }
    }

    #[test]
    fn an_error_is_told_by_its_code() {
        let answer = |body: &str| Answer {
            host: "blob".to_owned(),
            status: 403,
            headers: ureq::http::HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        let xml = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code></Error>";
        assert_eq!(code_of(&answer(xml)), "AuthenticationFailed");
        assert_eq!(code_of(&answer("<html>no</html>")), "status 403");
    }
}
