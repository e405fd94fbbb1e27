//! A server that answers like GitHub's API, as far as caches are concerned: pages, sorting, prefixes, permissions,
//! deleting, and the one GraphQL query; with faults where a test wants some.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use serde_json::{Value, json};

use super::{CacheService, Entries};

/// The token that the server takes.
pub(crate) const TOKEN: &str = "ghs_sesame";
/// The repository that it knows.
pub(crate) const REPOSITORY: &str = "octo/crab";

/// An entry as the API has it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) scope: String,
    pub(crate) bytes: u64,
    /// Times as RFC 3339.
    pub(crate) created_at: String,
    pub(crate) used_at: String,
}

/// What the token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Nothing: every answer is a 403.
    None,
    Read,
    Write,
}

/// What goes wrong once.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Fault {
    /// Too many requests, in the way that GitHub says so first.
    pub(crate) fn too_many(retry_after: u32) -> Self {
        Self {
            status: 429,
            headers: vec![("retry-after", retry_after.to_string())],
            body: json!({"message": "Too Many Requests"}).to_string(),
        }
    }

    /// A secondary limit, which comes as a 403.
    pub(crate) fn secondary_limit(retry_after: u32) -> Self {
        Self {
            status: 403,
            body: json!({"message": "You have exceeded a secondary rate limit."}).to_string(),
            ..Self::too_many(retry_after)
        }
    }

    /// An answer without more to it.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: json!({"message": "Server Error"}).to_string(),
        }
    }
}

/// What the server has and does.
pub(crate) struct State {
    pub(crate) caches: Vec<Cache>,
    /// The cache service whose entries there are besides.
    service: Option<Entries>,
    pub(crate) branches: BTreeSet<String>,
    pub(crate) pull_requests: BTreeMap<u64, &'static str>,
    pub(crate) permission: Permission,
    /// Answers to the next requests whose method and path begin like this.
    pub(crate) faults: VecDeque<(&'static str, Fault)>,
    /// Method and target of every request.
    pub(crate) journal: Vec<String>,
}

/// From here on numbers are those of the service's entries.
const OF_SERVICE: u64 = 1_000_000;

impl State {
    fn all(&self) -> Vec<Cache> {
        let of_service = self.service.iter().flat_map(Entries::stored);
        let of_service = of_service.map(|entry| Cache {
            id: OF_SERVICE + entry.id,
            key: entry.key,
            scope: entry.scope,
            bytes: entry.size.unwrap_or_default(),
            created_at: entry.since.to_string(),
            used_at: entry.since.to_string(),
        });
        self.caches.iter().cloned().chain(of_service).collect()
    }

    fn delete(&mut self, id: u64) -> bool {
        if let (Some(service), Some(id)) = (&self.service, id.checked_sub(OF_SERVICE)) {
            return service.delete(id);
        }
        let before = self.caches.len();
        self.caches.retain(|cache| cache.id != id);
        self.caches.len() < before
    }
}

/// The server. It ends with the process.
pub(crate) struct FakeGitHub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeGitHub {
    pub(crate) fn start(caches: Vec<Cache>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            caches,
            service: None,
            branches: BTreeSet::from(["refs/heads/main".to_owned()]),
            pull_requests: BTreeMap::new(),
            permission: Permission::Write,
            faults: VecDeque::new(),
            journal: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&stream, &shared);
            }
        });
        Self { address, state }
    }

    /// The API of a repository whose jobs store their entries in `service`.
    pub(crate) fn of(service: &CacheService) -> Self {
        let github = Self::start(Vec::new());
        github.state().service = Some(service.shared());
        github
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let state = self.state();
        state.caches.iter().map(|cache| cache.key.clone()).collect()
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string(),
        }
    }
}

/// Answers one request and closes the connection.
fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    for line in reader.by_ref().lines() {
        match line {
            Ok(line) if line.is_empty() => break,
            Ok(line) => head.push(line),
            Err(_) => return,
        }
    }
    let Some((method, target)) = head.first().and_then(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    }) else {
        return;
    };
    let header = |name: &str| {
        head.iter().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let length = header("content-length").and_then(|value| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let token = header("authorization");
    let answer = answer(
        &mut state.lock().unwrap(),
        &method,
        &target,
        token.as_deref(),
        &body,
    );
    let mut text = format!(
        "HTTP/1.1 {} Whatever\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    text.push_str(&answer.body);
    let mut stream = stream;
    let _client_left = stream.write_all(text.as_bytes());
}

fn answer(
    state: &mut State,
    method: &str,
    target: &str,
    token: Option<&str>,
    body: &[u8],
) -> Answer {
    let line = format!("{method} {target}");
    state.journal.push(line.clone());
    let fault = state
        .faults
        .iter()
        .position(|(prefix, _)| line.starts_with(prefix));
    if let Some((_, fault)) = fault.and_then(|index| state.faults.remove(index)) {
        return Answer {
            status: fault.status,
            headers: fault.headers,
            body: fault.body,
        };
    }
    if token.is_some_and(|token| token != format!("Bearer {TOKEN}")) {
        return Answer::json(401, &json!({"message": "Bad credentials"}));
    }
    let denied = json!({"message": "Resource not accessible by integration"});
    if state.permission == Permission::None {
        return Answer::json(403, &denied);
    }
    if line == "POST /graphql" {
        return match token {
            Some(_) => graphql(state, &serde_json::from_slice(body).unwrap()),
            None => Answer::json(
                401,
                &json!({"message": "This endpoint requires you to be authenticated."}),
            ),
        };
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(path) = path.strip_prefix(&format!("/repos/{REPOSITORY}/actions/")) else {
        return Answer::json(404, &json!({"message": "Not Found"}));
    };
    match (method, path) {
        ("GET", "caches") => page(state, query),
        ("GET", "cache/usage") => Answer::json(
            200,
            &json!({
                "full_name": REPOSITORY,
                "active_caches_size_in_bytes": state.all().iter().map(|cache| cache.bytes).sum::<u64>(),
                "active_caches_count": state.all().len(),
            }),
        ),
        ("DELETE", path) if state.permission == Permission::Write => {
            let id = path
                .strip_prefix("caches/")
                .and_then(|id| id.parse::<u64>().ok());
            if id.is_some_and(|id| state.delete(id)) {
                Answer {
                    status: 204,
                    headers: Vec::new(),
                    body: String::new(),
                }
            } else {
                Answer::json(404, &json!({"message": "Not Found"}))
            }
        }
        _ => Answer::json(403, &denied),
    }
}

fn page(state: &State, query: &str) -> Answer {
    let parameters: BTreeMap<_, _> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, decode(value)))
        .collect();
    let text = |name: &str| parameters.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|value| value.parse::<usize>().ok());
    let all = state.all();
    let mut caches: Vec<_> = all
        .iter()
        .filter(|cache| cache.key.starts_with(text("key").unwrap_or_default()))
        .filter(|cache| text("ref").is_none_or(|scope| scope == cache.scope))
        .collect();
    let by_use = text("sort") != Some("created_at");
    caches.sort_by_key(|cache| {
        if by_use {
            &cache.used_at
        } else {
            &cache.created_at
        }
    });
    if text("direction") != Some("asc") {
        caches.reverse();
    }
    let size = number("per_page").unwrap_or(30).min(100);
    let first = (number("page").unwrap_or(1) - 1) * size;
    let shown: Vec<_> = caches
        .iter()
        .skip(first)
        .take(size)
        .map(|cache| {
            json!({
                "id": cache.id, "ref": cache.scope, "key": cache.key, "version": "v",
                "last_accessed_at": cache.used_at, "created_at": cache.created_at,
                "size_in_bytes": cache.bytes,
            })
        })
        .collect();
    Answer::json(
        200,
        &json!({"total_count": caches.len(), "actions_caches": shown}),
    )
}

/// Looks up what the query asks for by the names that it gives: `r0: pullRequest(number: 7)`, `r1: ref(qualifiedName: $r1)`.
fn graphql(state: &State, body: &Value) -> Answer {
    let mut found = serde_json::Map::new();
    let mut errors = Vec::new();
    found.insert("defaultBranchRef".to_owned(), json!({"name": "main"}));
    let query = body["query"].as_str().unwrap();
    let words: Vec<_> = query.split_whitespace().collect();
    for pair in words.windows(3) {
        let Some(alias) = pair[0].strip_suffix(':') else {
            continue;
        };
        let value = if pair[1].starts_with("pullRequest(") {
            let number: u64 = pair[2].trim_end_matches(')').parse().unwrap();
            if let Some(state) = state.pull_requests.get(&number) {
                json!({"state": state})
            } else {
                errors.push(json!({
                    "type": "NOT_FOUND", "path": ["repository", alias],
                    "message": format!("Could not resolve to a PullRequest with the number of {number}."),
                }));
                Value::Null
            }
        } else if pair[1].starts_with("ref(") {
            let name = body["variables"][alias].as_str().unwrap();
            match state.branches.get(name) {
                Some(name) => json!({"name": name}),
                None => Value::Null,
            }
        } else {
            continue;
        };
        found.insert(alias.to_owned(), value);
    }
    let mut answer = json!({"data": {"repository": found}});
    if !errors.is_empty() {
        answer["errors"] = json!(errors);
    }
    Answer::json(200, &answer)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(&behind[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap()
}
