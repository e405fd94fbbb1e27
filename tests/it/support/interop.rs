//! What others wrote, for tests against it: npm's `@actions/cache` and `azurite`, which `tests/run` installs.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hotcrate::key::Digest;
use sha2::Sha256;

use super::{CacheService, Sandbox};

/// Azurite's well-known account and its key, which is no secret.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "actions-cache";
const SERVICE_VERSION: &str = "2021-10-04";

/// A file of an npm package; `None`, and a word about it, where it is not installed.
fn installed(relative: &str) -> Option<PathBuf> {
    tool(&format!("interop/node_modules/{relative}"))
}

/// A file among what `tests/run` installs.
fn tool(relative: &str) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
    let path = tools.join(relative);
    if path.exists() {
        return Some(path);
    }
    say_skipped(&format!("{relative} is not installed"));
    None
}

/// Says that a test had nothing to try: `tests/run` counts it among those that were skipped.
pub(crate) fn say_skipped(why: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {why}").unwrap();
}

/// GitHub's own client, for the directory `data` in a workspace of its own.
pub(crate) struct GitHubClient<'a> {
    sandbox: &'a Sandbox,
    module: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl<'a> GitHubClient<'a> {
    /// A client of `service` in version 1 or 2. `None`, and a word about it, where something is missing.
    pub(crate) fn new(
        sandbox: &'a Sandbox,
        service: &CacheService,
        version: u32,
        token: &str,
    ) -> Option<Self> {
        let module = installed("@actions/cache/lib/cache.js")?;
        for tool in ["node", "zstd", "tar"] {
            let answer = sandbox
                .command(tool, &sandbox.path("home"))
                .arg("--version")
                .output();
            if answer.is_err() {
                say_skipped(&format!(
                    "{tool}, which npm's @actions/cache needs, is missing"
                ));
                return None;
            }
        }
        fs_err::create_dir_all(sandbox.path("workspace")).unwrap();
        Some(Self {
            sandbox,
            module,
            variables: service.variables(version, token),
        })
    }

    /// The directory that is saved and restored.
    pub(crate) fn data(&self) -> PathBuf {
        self.sandbox.path("workspace/data")
    }

    /// Saves it; the number of the entry.
    pub(crate) fn save(&self, key: &str) -> Option<i64> {
        self.run("save", key, &[]).as_i64()
    }

    /// Restores it; the key of the entry that answered.
    pub(crate) fn restore(&self, key: &str, restore_keys: &[&str]) -> Option<String> {
        self.run("restore", key, restore_keys)
            .as_str()
            .map(str::to_owned)
    }

    /// What the client calls the version of its entries: which directories, and how they are compressed.
    pub(crate) fn version() -> String {
        Digest::of_bytes(b"data|zstd-without-long|1.0").to_string()
    }

    fn run(&self, verb: &str, key: &str, restore_keys: &[&str]) -> serde_json::Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/client.mjs");
        let workspace = self.sandbox.path("workspace");
        let output = self
            .sandbox
            .command("node", &workspace)
            .arg(script)
            .arg(&self.module)
            .args([verb, key, "data"])
            .args(restore_keys)
            .env("GITHUB_WORKSPACE", &workspace)
            .env("RUNNER_TEMP", self.sandbox.path("tmp"))
            .env("GITHUB_SERVER_URL", "https://github.com")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let result = stdout.lines().find_map(|line| line.strip_prefix("RESULT "));
        let stderr = String::from_utf8_lossy(&output.stderr);
        let result = result.unwrap_or_else(|| panic!("{verb} gave no result:\n{stdout}{stderr}"));
        serde_json::from_str(result).unwrap()
    }
}

/// Microsoft's emulator of its blob storage. Killed when dropped.
pub(crate) struct Azurite {
    process: Child,
    port: u16,
}

impl Azurite {
    /// Starts it, with an empty container. `None`, and a word about it, where it is not installed.
    pub(crate) fn start(sandbox: &Sandbox) -> Option<Self> {
        let program = installed("azurite/dist/src/blob/main.js")?;
        let mut process = sandbox
            .command("node", &sandbox.path("tmp"))
            .arg(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", "0"])
            .args([
                "--inMemoryPersistence",
                "--skipApiVersionCheck",
                "--disableTelemetry",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let started = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("successfully listens on http://")?;
            address.rsplit_once(':')?.1.trim().parse().ok()
        });
        let port = started.expect("azurite ended at once");
        // Whoever closes the pipe ends the process.
        std::thread::spawn(move || lines.count());
        let azurite = Self { process, port };
        azurite.create_container();
        Some(azurite)
    }

    fn create_container(&self) {
        let end = "2099-01-01T00:00:00Z";
        let to_sign = format!("{ACCOUNT}\nrwdlac\nb\nsco\n\n{end}\n\n\n{SERVICE_VERSION}\n\n");
        let url = format!(
            "http://127.0.0.1:{}/{ACCOUNT}/{CONTAINER}?restype=container&sv={SERVICE_VERSION}&ss=b&srt=sco&sp=rwdlac&se={}&sig={}",
            self.port,
            escape(end),
            signature(&to_sign)
        );
        let answer = ureq::put(url).send_empty().unwrap();
        assert_eq!(answer.status(), 201);
    }

    /// Signed URLs to blobs of it, as the service hands them out: good for a long time, or for none.
    pub(crate) fn urls(&self, still_good: bool) -> impl Fn(u64, bool) -> String + use<> {
        let port = self.port;
        move |id, may_write| {
            let permission = if may_write { "cw" } else { "r" };
            let end = if still_good {
                "2099-01-01T00:00:00Z"
            } else {
                "2020-01-01T00:00:00Z"
            };
            let to_sign = format!(
                "{permission}\n\n{end}\n/blob/{ACCOUNT}/{CONTAINER}/{id}\n\n\n\n{SERVICE_VERSION}\nb\n\n\n\n\n\n\n"
            );
            format!(
                "http://127.0.0.1:{port}/{ACCOUNT}/{CONTAINER}/{id}?sv={SERVICE_VERSION}&sr=b&sp={permission}&se={}&sig={}",
                escape(end),
                signature(&to_sign)
            )
        }
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _gone_already = self.process.wait();
    }
}

fn signature(to_sign: &str) -> String {
    let key = STANDARD.decode(ACCOUNT_KEY).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(to_sign.as_bytes());
    escape(&STANDARD.encode(mac.finalize().into_bytes()))
}

fn escape(text: &str) -> String {
    text.replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
        .replace(':', "%3A")
}
