//! Version 1, as GitHub Enterprise Server has it. Without a token, as act has it, everything belongs to one branch.

use serde_json::{Value, json};

use super::{
    Inner, Op,
    blobs::Blob,
    http::{Request, Response},
    token::Access,
};

const PREFIX: &str = "/secret/_apis/artifactcache/";
/// The scope of a run without a token.
const ONLY_SCOPE: &str = "refs/heads/main";

pub(super) fn is_for(request: &Request) -> bool {
    request.target.starts_with(PREFIX)
}

pub(super) fn op_of(request: &Request) -> Option<Op> {
    let (path, _) = parts(request);
    match (request.method.as_str(), path) {
        ("GET", "cache") => Some(Op::LookUp),
        ("POST", "caches") => Some(Op::Reserve),
        ("PATCH", _) => Some(Op::Upload),
        ("POST", _) => Some(Op::Commit),
        _ => None,
    }
}

/// The path behind the prefix, and the query.
fn parts(request: &Request) -> (&str, &str) {
    let rest = request.target.strip_prefix(PREFIX).unwrap_or_default();
    rest.split_once('?').unwrap_or((rest, ""))
}

pub(super) fn answer(inner: &mut Inner, request: &Request) -> Response {
    let header = request.header("authorization");
    let (readable, writable) = match Access::of(header) {
        Some(access) => (access.readable(), access.writable().map(str::to_owned)),
        None if header.is_none_or(|header| header.trim() == "Bearer") => {
            (vec![ONLY_SCOPE.to_owned()], Some(ONLY_SCOPE.to_owned()))
        }
        None => return error(401, "invalid token", "Unauthorized"),
    };
    let (path, query) = parts(request);
    let id = path.strip_prefix("caches/").and_then(|id| id.parse().ok());
    match (op_of(request), id) {
        (Some(Op::LookUp), _) => look_up(inner, &readable, query),
        (Some(Op::Reserve), _) => reserve(inner, writable.as_deref(), &request.body),
        (Some(Op::Upload), Some(id)) => upload(inner, id, request),
        (Some(Op::Commit), Some(id)) => {
            let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if inner.commit(id, message["size"].as_u64().unwrap_or_default()) {
                Response::new(204)
            } else {
                error(400, "Cache size does not match", "BadRequest")
            }
        }
        _ => error(404, "no such path", "NotFound"),
    }
}

fn look_up(inner: &mut Inner, scopes: &[String], query: &str) -> Response {
    if scopes.is_empty() {
        return error(
            403,
            "cache read denied: token has no readable scopes",
            "Forbidden",
        );
    }
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.replace("%2C", ","))
            .unwrap_or_default()
    };
    let keys: Vec<_> = parameter("keys").split(',').map(str::to_owned).collect();
    match inner.look_up(scopes, &keys, &parameter("version")) {
        Some(entry) => Response::json(
            200,
            &json!({
                "cacheKey": entry.key,
                "scope": entry.scope,
                "cacheVersion": entry.version,
                "creationTime": "2026-11-21T00:00:00Z",
                "archiveLocation": inner.url_to_read(entry.id),
            }),
        ),
        None => Response::new(204),
    }
}

fn reserve(inner: &mut Inner, scope: Option<&str>, body: &[u8]) -> Response {
    let Some(scope) = scope else {
        return error(
            403,
            "cache write denied: token has no writable scopes",
            "Forbidden",
        );
    };
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    match inner.reserve(scope, &text("key"), &text("version")) {
        Some(id) => Response::json(201, &json!({"cacheId": id})),
        None => error(
            409,
            "Cache already exists.",
            "ArtifactCacheItemAlreadyExistsException",
        ),
    }
}

fn upload(inner: &mut Inner, id: u64, request: &Request) -> Response {
    let is_reserved = |entry: &super::Stored| entry.id == id && entry.size.is_none();
    if !inner.entries.iter().any(is_reserved) {
        return error(400, "Cache is not reserved", "BadRequest");
    }
    let range = request
        .header("content-range")
        .and_then(|range| range.strip_prefix("bytes ")?.strip_suffix("/*"))
        .and_then(|range| {
            let (first, last) = range.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
    match range {
        Some((first, last)) if last + 1 == first + request.body.len() => {
            let blob = inner.blobs.entry(id).or_insert_with(Blob::of_ranges);
            blob.write_at(first, &request.body);
            Response::new(204)
        }
        _ => error(400, "Content-Range does not match the body", "BadRequest"),
    }
}

fn error(status: u16, message: &str, key: &str) -> Response {
    let body = json!({"message": message, "typeName": key, "typeKey": key, "errorCode": 0});
    Response::json(status, &body)
}
