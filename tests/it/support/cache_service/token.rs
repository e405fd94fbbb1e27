//! Tokens as the runner gets them: a JWT whose claim `ac` lists scopes and what is allowed in each.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

const READ: u64 = 1;
const WRITE: u64 = 2;

/// A token for `scopes`, each with its permission: 1 to read, 2 to write, 3 for both. The first is the run's own.
pub(crate) fn token(scopes: &[(&str, u64)]) -> String {
    let access: Vec<_> = scopes
        .iter()
        .map(|(scope, permission)| serde_json::json!({"Scope": scope, "Permission": permission}))
        .collect();
    let access = serde_json::Value::from(access).to_string();
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.c2lnbmF0dXJl",
        encode(serde_json::json!({"alg": "none"})),
        encode(serde_json::json!({"ac": access})),
    )
}

/// What a token allows.
pub(super) struct Access(Vec<(String, u64)>);

impl Access {
    /// Reads the value of an Authorization header. `None` for what is no token of ours.
    pub(super) fn of(header: Option<&str>) -> Option<Self> {
        let token = header?.strip_prefix("Bearer ")?;
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        let access: serde_json::Value = serde_json::from_str(payload["ac"].as_str()?).ok()?;
        let scopes = access.as_array()?.iter().map(|scope| {
            Some((
                scope["Scope"].as_str()?.to_owned(),
                scope["Permission"].as_u64()?,
            ))
        });
        Some(Self(scopes.collect::<Option<_>>()?))
    }

    /// The scopes that may be read, in their order.
    pub(super) fn readable(&self) -> Vec<String> {
        let readable = self
            .0
            .iter()
            .filter(|(_, permission)| permission & READ != 0);
        readable.map(|(scope, _)| scope.clone()).collect()
    }

    /// The scope that is written to.
    pub(super) fn writable(&self) -> Option<&str> {
        let writable = self
            .0
            .iter()
            .find(|(_, permission)| permission & WRITE != 0);
        writable.map(|(scope, _)| scope.as_str())
    }
}
