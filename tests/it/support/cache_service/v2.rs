//! Version 2: Twirp in JSON.

use serde_json::{Value, json};

use super::{
    Inner, Op,
    http::{Request, Response},
    token::Access,
};

const PREFIX: &str = "/twirp/github.actions.results.api.v1.CacheService/";

pub(super) fn op_of(request: &Request) -> Option<Op> {
    match request.target.strip_prefix(PREFIX)? {
        "GetCacheEntryDownloadURL" => Some(Op::LookUp),
        "CreateCacheEntry" => Some(Op::Reserve),
        "FinalizeCacheEntryUpload" => Some(Op::Commit),
        _ => None,
    }
}

pub(super) fn answer(inner: &mut Inner, request: &Request) -> Response {
    let Some(op) = op_of(request).filter(|_| request.method == "POST") else {
        return error(404, "bad_route", "no handler for path");
    };
    let Some(access) = Access::of(request.header("authorization")) else {
        return error(401, "unauthenticated", "invalid token");
    };
    let Ok(message) = serde_json::from_slice::<Value>(&request.body) else {
        return error(400, "malformed", "the json request could not be decoded");
    };
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let (key, version) = (text("key"), text("version"));
    if key.is_empty() || key.len() > 512 {
        return error(
            400,
            "invalid_argument",
            "key must be between 1 and 512 characters",
        );
    }
    if version.len() != 64 {
        return error(
            400,
            "invalid_argument",
            "version must be between 1 and 64 characters",
        );
    }
    match op {
        Op::LookUp => {
            let mut keys = vec![key];
            let restore_keys = message["restore_keys"].as_array();
            keys.extend(
                restore_keys
                    .into_iter()
                    .flatten()
                    .filter_map(|key| Some(key.as_str()?.to_owned())),
            );
            look_up(inner, &access, &keys, &version)
        }
        Op::Reserve => reserve(inner, &access, &key, &version),
        _ => {
            let size = &message["size_bytes"];
            let size = size.as_u64().or_else(|| size.as_str()?.parse().ok());
            commit(inner, &access, &key, &version, size.unwrap_or_default())
        }
    }
}

fn look_up(inner: &mut Inner, access: &Access, keys: &[String], version: &str) -> Response {
    let scopes = access.readable();
    if scopes.is_empty() {
        let message = "cache read denied: token has no readable scopes";
        return error(403, "permission_denied", message);
    }
    let reply = match inner.look_up(&scopes, keys, version) {
        Some(entry) => json!({
            "ok": true,
            "signed_download_url": inner.url_to_read(entry.id),
            "matched_key": entry.key,
        }),
        None => json!({"ok": false, "signed_download_url": "", "matched_key": ""}),
    };
    Response::json(200, &reply)
}

fn reserve(inner: &mut Inner, access: &Access, key: &str, version: &str) -> Response {
    let Some(scope) = access.writable() else {
        let message = "cache write denied: token has no writable scopes";
        return Response::json(
            200,
            &json!({"ok": false, "signed_upload_url": "", "message": message}),
        );
    };
    match inner.reserve(scope, key, version) {
        Some(id) => Response::json(
            200,
            &json!({"ok": true, "signed_upload_url": inner.url_to_write(id), "message": ""}),
        ),
        None => error(
            409,
            "already_exists",
            "cache entry with the same key, version, and scope already exists",
        ),
    }
}

fn commit(inner: &mut Inner, access: &Access, key: &str, version: &str, size: u64) -> Response {
    let id = inner.entries.iter().find_map(|entry| {
        let is_same =
            access.writable() == Some(&entry.scope) && entry.key == key && entry.version == version;
        is_same.then_some(entry.id)
    });
    match id.filter(|id| inner.commit(*id, size)) {
        Some(id) => Response::json(
            200,
            &json!({"ok": true, "entry_id": id.to_string(), "message": ""}),
        ),
        None => error(404, "not_found", "cache entry not found"),
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"code": code, "msg": message}))
}
