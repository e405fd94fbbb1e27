//! What must never be seen: tokens, and URLs that are keys to what lies behind them.
//!
//! Invariant: neither `Debug` nor any message shows more of them than the host.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use ureq::http::{HeaderValue, Uri, header::InvalidHeaderValue};

/// The runner's token for the cache service.
#[derive(Clone, Debug)]
pub(super) struct Token(SecretString);

impl Token {
    /// Wraps a token.
    pub(super) fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// The value of an Authorization header.
    pub(super) fn to_header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut header = HeaderValue::try_from(format!("Bearer {}", self.0.expose_secret()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// A URL with the permission to use it inside.
#[derive(Clone)]
pub(super) struct SignedUrl {
    url: SecretString,
    host: String,
}

impl SignedUrl {
    /// Checks that `url` is an absolute one of http or https.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().filter(|_| is_web)?.to_owned();
        Some(Self {
            url: url.into(),
            host,
        })
    }

    /// The URL itself: for requests, and for nothing that is printed.
    pub(super) fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// The URL with more of a query behind its own, which stays as it is byte for byte: it is signed.
    pub(super) fn with_query(&self, query: &str) -> String {
        let url = self.expose();
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}{query}")
    }

    /// The host, which may be shown.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The signature, as it stands in the URL and decoded: what a log has to hide.
    pub(super) fn signatures(&self) -> Vec<String> {
        let (_, query) = self.expose().split_once('?').unwrap_or_default();
        let Some(raw) = query.split('&').find_map(|pair| pair.strip_prefix("sig=")) else {
            return Vec::new();
        };
        let mut signatures = vec![raw.to_owned()];
        signatures.extend(decode_percent(raw).filter(|decoded| decoded != raw));
        signatures.retain(|signature| !signature.is_empty());
        signatures
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SignedUrl({}, [REDACTED])", self.host)
    }
}

fn decode_percent(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            decoded.push(first);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://blob.example/cache/1-2?se=2026&sig=a%2Bb%3D&sp=r";

    #[test]
    fn nothing_secret_is_shown() {
        let url = SignedUrl::parse(URL).unwrap();
        insta::assert_snapshot!(format!("{url:?}"), @"SignedUrl(blob.example, [REDACTED])");
        let token = Token::new("eyJ.secret.sig");
        insta::assert_snapshot!(format!("{token:?}"), @r#"Token(SecretBox<str>([REDACTED]))"#);
        insta::assert_snapshot!(format!("{:?}", token.to_header()), @"Ok(Sensitive)");
    }

    #[test]
    fn a_signature_is_masked_as_it_stands_and_decoded() {
        let url = SignedUrl::parse(URL).unwrap();
        assert_eq!(url.signatures(), ["a%2Bb%3D", "a+b="]);
        let unsigned = SignedUrl::parse("http://act.local:34567/secret/artifacts/1").unwrap();
        assert!(unsigned.signatures().is_empty());
    }

    #[test]
    fn a_query_is_added_without_touching_what_is_signed() {
        let url = SignedUrl::parse(URL).unwrap();
        assert_eq!(
            url.with_query("comp=blocklist"),
            format!("{URL}&comp=blocklist")
        );
        let bare = SignedUrl::parse("http://host/blob").unwrap();
        assert_eq!(bare.with_query("comp=block"), "http://host/blob?comp=block");
    }

    #[test]
    fn only_urls_of_the_web_are_taken() {
        for url in [
            "",
            "/cache/1",
            "file:///etc/passwd",
            "https://",
            "not a url",
        ] {
            assert!(SignedUrl::parse(url).is_none(), "{url}");
        }
    }
}
