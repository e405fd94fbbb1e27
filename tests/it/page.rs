//! The page of `hotcrate report --html`, opened in a real browser: what is drawn is looked at, pixel by pixel.
//!
//! Where there is no Chromium the tests say so and pass. `.ci/run` installs it from Debian's packages.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Output,
};

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};

use crate::support::{
    Sandbox,
    github::{Cache, FakeGitHub, REPOSITORY, TOKEN},
};

const WIDTH: usize = 1000;
const HEIGHT: usize = 2600;
/// The charts that the page has, from above.
const CHARTS: [&str; 4] = ["quota", "ages", "branches", "jobs"];
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

/// What a browser shows.
struct Picture {
    /// Row by row, each pixel by the number that its hexadecimal digits make.
    pixels: Vec<u32>,
}

impl Picture {
    fn read(path: &Path) -> Self {
        let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(
            (frame.width as usize, frame.height as usize),
            (WIDTH, HEIGHT)
        );
        let pixels = bytes[..frame.buffer_size()]
            .chunks(frame.color_type.samples())
            .map(|pixel| u32::from_be_bytes([0, pixel[0], pixel[1], pixel[2]]))
            .collect();
        Self { pixels }
    }

    /// How many pixels have this colour.
    fn count(&self, colour: &str) -> usize {
        let colour = number(colour);
        self.pixels.iter().filter(|pixel| **pixel == colour).count()
    }

    /// Those of the charts in whose boxes less than a fiftieth is of one of these colours.
    fn undrawn<'a>(&self, boxes: &'a [ChartBox], colours: &[&str]) -> Vec<&'a str> {
        let colours: Vec<_> = colours.iter().map(|digits| number(digits)).collect();
        let is_undrawn = |chart: &&ChartBox| {
            let inside = chart.pixels();
            let all = inside.clone().count();
            let ink = inside.filter(|at| colours.contains(&self.pixels[*at]));
            ink.count() * 50 < all
        };
        let undrawn = boxes.iter().filter(is_undrawn);
        undrawn.map(|chart| chart.id.as_str()).collect()
    }
}

/// The number that the hexadecimal digits of a colour make.
fn number(digits: &str) -> u32 {
    u32::from_str_radix(digits, 16).unwrap()
}

/// Where a chart is on the page.
struct ChartBox {
    id: String,
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl ChartBox {
    /// The places of its pixels in a picture.
    fn pixels(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let (left, right) = (self.left, self.right);
        (self.top..self.bottom).flat_map(move |row| (left..right).map(move |x| row * WIDTH + x))
    }
}

/// Asks the browser where the charts are. `None`, said aloud, where there is no Chromium.
fn chart_boxes(sandbox: &Sandbox, page: &Path) -> Option<Vec<ChartBox>> {
    const MARK: &str = "data-boxes=\"";
    let asking = sandbox.path("asking.html");
    let script = "<script>document.body.dataset.boxes = Array.from(document.querySelectorAll('svg'), (chart) => {
        const box = chart.getBoundingClientRect();
        return [chart.id, box.left, box.top, box.right, box.bottom].join(',');
    }).join(';');</script>";
    // The page itself permits no script.
    let (style, both) = (
        "style-src 'unsafe-inline'",
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    );
    let html = fs::read_to_string(page).unwrap().replace(style, both);
    fs::write(&asking, html + script).unwrap();
    let output = browse(sandbox, &asking, &["--dump-dom"])?;
    let dom = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = dom.split_once(MARK).unwrap_or_else(|| panic!("{dom}"));
    let (boxes, _) = rest.split_once('"').unwrap();
    let chart_box = |text: &str| {
        let mut fields = text.split(',');
        let id = fields.next().unwrap().to_owned();
        let mut number = || {
            // Parts of pixels don't matter.
            let whole = fields.next().unwrap().split('.').next().unwrap();
            whole.parse::<usize>().unwrap()
        };
        let (left, top, right, bottom) = (number(), number(), number(), number());
        ChartBox {
            id,
            left,
            top,
            right,
            bottom,
        }
    };
    Some(boxes.split(';').map(chart_box).collect())
}

/// Opens `page` in the browser. `None`, said aloud, where there is no Chromium.
fn browse(sandbox: &Sandbox, page: &Path, options: &[&str]) -> Option<Output> {
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
        .args(options)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output)
}

/// Takes a picture of `page`. `None`, said aloud, where there is no Chromium.
fn photograph(sandbox: &Sandbox, page: &Path, options: &[&str]) -> Option<Picture> {
    let picture = sandbox.path("page.png");
    let _none_yet = fs::remove_file(&picture);
    let screenshot = format!("--screenshot={}", picture.display());
    browse(sandbox, page, &[&[screenshot.as_str()], options].concat())?;
    Some(Picture::read(&picture))
}

/// Fails the test unless every chart is drawn in these colours, on this paper.
#[track_caller]
fn assert_drawn(picture: &Picture, boxes: &[ChartBox], colours: &[&str; 4]) {
    let [first, second, third, paper] = colours.map(|colour| picture.count(colour));
    assert!(paper > WIDTH * HEIGHT / 2, "{paper} pixels are paper");
    assert_eq!(picture.undrawn(boxes, &colours[..3]), [""; 0]);
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
    let Some(boxes) = chart_boxes(&sandbox, &page) else {
        return;
    };
    let ids: Vec<_> = boxes.iter().map(|chart| chart.id.as_str()).collect();
    assert_eq!(ids, CHARTS);
    let mut picture = photograph(&sandbox, &page, &[]).unwrap();
    assert_drawn(&picture, &boxes, &LIGHT);
    let dark = ["--blink-settings=preferredColorScheme=0"];
    assert_drawn(&photograph(&sandbox, &page, &dark).unwrap(), &boxes, &DARK);

    // A chart that is not drawn is seen to be missing, and no other is.
    for chart in &boxes {
        let drawn = picture.pixels.clone();
        for at in chart.pixels() {
            picture.pixels[at] = number(LIGHT[3]);
        }
        assert_eq!(picture.undrawn(&boxes, &LIGHT[..3]), [chart.id.as_str()]);
        picture.pixels = drawn;
    }
}
