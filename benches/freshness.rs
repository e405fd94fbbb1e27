//! What recording and replaying 10,000 sources costs. Prints a table; asserts nothing.
//!
//! `cargo bench --bench freshness`. The files are 4 KiB each, in 500 packages of 20 files, without units: what units
//! say is read from the target directory and grows with that, not with the sources.

#![expect(clippy::print_stdout, reason = "a table is what a bench is for")]

use std::{path::Path, time::Instant};

use hotcrate::{
    archive::path::RelativePath,
    freshness::{
        BuildScripts, Head, Inputs, Mtime, OutsideFiles, PathSet, Present, SourceManifest,
        SourceTree, SourceTrees, plan, replay, scan,
    },
};

const PACKAGES: usize = 500;
const FILES: usize = 20;

fn main() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    make_sources(directory.path())?;
    let tree = SourceTree {
        name: RelativePath::new("workspace")?,
        directory: directory.path().to_owned(),
    };
    let trees = SourceTrees::new([tree], []);
    scan(&trees)?;

    let sources = timed("scan and hash (record)", || scan(&trees))?;
    let head = Head::NoRepository;
    let nothing = PathSet::default();
    let inputs = Inputs::default();
    let manifest = SourceManifest::record(&sources, &inputs, head.clone(), Mtime::now(), &nothing);
    let json = timed("write the manifest", || serde_json::to_string(&manifest))?;
    let manifest: SourceManifest = timed("read the manifest", || serde_json::from_str(&json))?;
    let sources = timed("scan and hash (replay)", || scan(&trees))?;
    let outside = OutsideFiles::default();
    let present = Present {
        sources: &sources,
        inputs: &inputs,
        head: &head,
        ignored: &nothing,
        outside: &outside,
        now: Mtime::now(),
    };
    let plan = timed("plan", || {
        anyhow::Ok(plan(&manifest, &present, BuildScripts::Auto))
    })?;
    let done = timed("set times", || replay(&plan, &sources, directory.path()))?;
    println!("{:<28}{:>10}", "paths restored", done.restored);
    println!("{:<28}{:>10}", "manifest, bytes", json.len());
    Ok(())
}

fn make_sources(root: &Path) -> anyhow::Result<()> {
    for package in 0..PACKAGES {
        let sources = root.join(format!("crates/package-{package}/src"));
        fs_err::create_dir_all(&sources)?;
        let manifest = format!("[package]\nname = \"package-{package}\"\nversion = \"0.1.0\"\n");
        fs_err::write(sources.with_file_name("Cargo.toml"), manifest)?;
        for file in 1..FILES {
            let line = format!("// {package} {file} {}\n", "x".repeat(80));
            fs_err::write(sources.join(format!("module_{file}.rs")), line.repeat(46))?;
        }
    }
    Ok(())
}

fn timed<T, E>(step: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    let done = work();
    println!(
        "{step:<28}{:>7.1} ms",
        start.elapsed().as_secs_f64() * 1000.0
    );
    done
}
