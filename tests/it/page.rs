//! The page of `hotcrate report --html`, opened in a real browser: what is drawn is looked at, pixel by pixel.
//!
//! Where there is no Chromium the tests say so and pass. `.ci/run` installs it from Debian's packages.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};

use crate::support::{
    Sandbox,
    github::{Cache, FakeGitHub, REPOSITORY, TOKEN},
};

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 2600;
/// The first three colours of owners, and the paper, as `src/report/page.css` has them: light and dark.
const LIGHT: [&str; 4] = ["2f6fb4", "c4571b", "3f8d4e", "ffffff"];
const DARK: [&str; 4] = ["6ba6e8", "ee8a50", "73c283", "14181d"];

fn cache(id: u64, key: &str, scope: &str, megabytes: u64) -> Cache {
    let at = (Timestamp::now() - SignedDuration::from_hours(30)).to_string();
    Cache {
        id,
        key: key.to_owned(),
        scope: scope.to_owned(),
        bytes: megabytes * 1_000_000,
        created_at: at.clone(),
        used_at: at,
    }
}

/// A page about three owners, of whom the first has six times as much as the last.
fn page(sandbox: &Sandbox) -> PathBuf {
    let branch = "refs/heads/main";
    let github = FakeGitHub::start(vec![
        cache(1, "v0-rust-test-Linux-x64-11111111-22222222", branch, 3_000),
        cache(2, "node-cache-Linux-x64-npm-11111111", branch, 1_500),
        cache(3, "hotcrate-v1-registry-11111111-22222222", branch, 500),
    ]);
    let page = sandbox.path("page.html");
    let home = sandbox.path("home");
    sandbox
        .hotcrate(&home)
        .default_store()
        .env("GITHUB_API_URL", github.url())
        .env("GITHUB_TOKEN", TOKEN)
        .option("--repo", REPOSITORY)
        .option("--html", &page)
        .look("report")
        .success();
    page
}

/// How many pixels there are of each colour, by its hexadecimal digits.
fn pixels(picture: &Path) -> BTreeMap<String, u64> {
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(picture).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((frame.width, frame.height), (WIDTH, HEIGHT));
    let mut counts = BTreeMap::new();
    for pixel in bytes[..frame.buffer_size()].chunks(frame.color_type.samples()) {
        let digits = format!("{:02x}{:02x}{:02x}", pixel[0], pixel[1], pixel[2]);
        *counts.entry(digits).or_default() += 1;
    }
    counts
}

/// Takes a picture of `page`. `None`, said aloud, where there is no Chromium.
fn photograph(sandbox: &Sandbox, page: &Path, options: &[&str]) -> Option<PathBuf> {
    let path = std::env::split_paths(
        hotcrate::environment::Environment::of_process()
            .os("PATH")
            .unwrap_or(OsStr::new("")),
    )
    .flat_map(|directory| {
        ["chromium", "chromium-browser", "google-chrome"].map(|name| directory.join(name))
    })
    .find(|program| program.is_file());
    let Some(program) = path else {
        use std::io::Write as _;
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "SKIPPED: the page is not looked at without Chromium"
        )
        .unwrap();
        return None;
    };
    let picture = sandbox.path("page.png");
    let _none_yet = fs::remove_file(&picture);
    let home = sandbox.path("home");
    let output = sandbox
        .command(program, &home)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
        ])
        .arg(format!(
            "--user-data-dir={}",
            sandbox.path("chromium").display()
        ))
        .arg(format!("--window-size={WIDTH},{HEIGHT}"))
        .arg(format!("--screenshot={}", picture.display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success() && picture.is_file(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(picture)
}

/// Fails the test unless the charts are drawn in these colours, on this paper.
#[track_caller]
fn assert_drawn(counts: &BTreeMap<String, u64>, colours: &[&str; 4]) {
    let [first, second, third, paper] =
        colours.map(|colour| counts.get(colour).copied().unwrap_or(0));
    let all = u64::from(WIDTH) * u64::from(HEIGHT);
    assert!(paper > all / 2, "{paper} of {all} pixels are paper");
    // The first colour is that of bars by branch and age as well.
    assert!(first > 30_000, "{first}");
    // A strip of 40 units in 720, at the width of the page: 3.0, 1.5 and 0.5 of 10 GB, and a swatch of each colour.
    assert!(second > 4_000 && second < 12_000, "{second}");
    let ratio = second / third.max(1);
    assert!((2..=3).contains(&ratio), "{second} and {third}");
}

#[test]
fn the_charts_are_drawn_on_light_and_on_dark_paper() {
    let sandbox = Sandbox::new();
    let page = page(&sandbox);
    let Some(picture) = photograph(&sandbox, &page, &[]) else {
        return;
    };
    assert_drawn(&pixels(&picture), &LIGHT);
    let dark = ["--blink-settings=preferredColorScheme=0"];
    let picture = photograph(&sandbox, &page, &dark).unwrap();
    assert_drawn(&pixels(&picture), &DARK);
}
