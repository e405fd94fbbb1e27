//! What units say that they read, in Cargo's and rustc's own files. Pure.
//!
//! Cargo's `dep-*` files are what it checks, so they decide what it would notice; rustc's `.d` files only tell where a
//! crate's root lies. Format facts: cargo `core/compiler/fingerprint/dep_info.rs` and
//! `core/compiler/custom_build.rs`, checked against files of 1.95.

/// What stands in a `dep-*` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DepInfo {
    /// Paths relative to the package's root.
    pub in_package: Vec<String>,
    /// Paths relative to the target directory (what build scripts wrote), and absolute ones: Cargo tells them apart
    /// by nothing but joining them.
    pub in_target: Vec<String>,
    /// The environment variables that were read, with the values that they had; `None` where one was not set.
    pub variables: Vec<(String, Option<String>)>,
}

/// Reads a `dep-*` file: little-endian counts and lengths, a version after a marker that old Cargos choke on.
/// `None` for any other version or a damaged file: what is in it is then not known.
pub fn parse_dep_info(bytes: &[u8]) -> Option<DepInfo> {
    let mut reader = Reader(bytes);
    let marker = reader.number()?;
    let (files, has_checksums) = if marker == 1 && reader.0.first() == Some(&0xff) {
        reader.byte()?;
        if reader.byte()? != 1 {
            return None;
        }
        (reader.number()?, true)
    } else {
        (marker, false)
    };
    let mut info = DepInfo::default();
    for _ in 0..files {
        let kind = reader.byte()?;
        let path = reader.text()?;
        match kind {
            0 => info.in_package.push(path),
            1 => info.in_target.push(path),
            _ => return None,
        }
        if has_checksums && reader.byte()? == 1 {
            reader.take(8)?;
            reader.text()?;
        }
    }
    for _ in 0..reader.number()? {
        let name = reader.text()?;
        let value = match reader.byte()? {
            0 => None,
            1 => Some(reader.text()?),
            _ => return None,
        };
        info.variables.push((name, value));
    }
    Some(info)
}

/// `bytes`, a `dep-*` file, with `paths` (absolute) added to the files that Cargo checks: for a directory, everything below
/// it, and where links lead (cargo `mtime_recursive`). `None` if it can't be read.
pub fn with_more_files(bytes: &[u8], paths: &[String]) -> Option<Vec<u8>> {
    const PREFIX: &[u8] = b"\x01\0\0\0\xff\x01";
    const IN_TARGET: u8 = 1;
    const NO_CHECKSUM: u8 = 0;
    parse_dep_info(bytes)?;
    let (prefix, rest) = match bytes.strip_prefix(PREFIX) {
        Some(rest) => (PREFIX, rest),
        None => (&[][..], bytes),
    };
    let mut reader = Reader(rest);
    let count = reader.number()?;
    let added = u32::try_from(paths.len()).ok()?;
    let mut new = prefix.to_vec();
    new.extend(count.checked_add(added)?.to_le_bytes());
    for path in paths {
        // A path that is joined to another one and is absolute takes its place.
        new.push(IN_TARGET);
        new.extend(u32::try_from(path.len()).ok()?.to_le_bytes());
        new.extend(path.as_bytes());
        if !prefix.is_empty() {
            new.push(NO_CHECKSUM);
        }
    }
    new.extend(reader.0);
    Some(new)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

/// The first prerequisite in a `.d` file: the crate's root.
pub fn crate_root(makefile: &str) -> Option<String> {
    prerequisites(makefile).next()
}

/// The prerequisites of the first rule in a `.d` file that has any, the crate's root first: the sources of the crate, and
/// the files that they include. rustc escapes spaces with `\` and nothing else.
pub fn prerequisites(makefile: &str) -> impl Iterator<Item = String> {
    let mut rules = makefile
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "));
    let rule = rules.find(|(_, sources)| !sources.trim().is_empty());
    let mut pieces = rule.map_or("", |(_, sources)| sources).split(' ');
    std::iter::from_fn(move || {
        let mut path = String::new();
        loop {
            let piece = pieces.next()?;
            match piece.strip_suffix('\\') {
                Some(part) => {
                    path.push_str(part);
                    path.push(' ');
                }
                None if piece.is_empty() && path.is_empty() => {}
                None => {
                    path.push_str(piece);
                    return Some(path);
                }
            }
        }
    })
}

/// What a build script declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Paths of `rerun-if-changed` lines, relative to the package's root or absolute.
    pub paths: Vec<String>,
    /// Names of `rerun-if-env-changed` lines.
    pub variables: Vec<String>,
}

/// Reads what a build script printed. Lines that are not UTF-8 are no instructions, as for Cargo.
pub fn parse_output(output: &[u8]) -> Declared {
    let mut declared = Declared::default();
    for line in output.split(|byte| *byte == b'\n') {
        let Some((key, value)) = std::str::from_utf8(line).ok().and_then(instruction) else {
            continue;
        };
        match key {
            "rerun-if-changed" => declared.paths.push(value.to_owned()),
            "rerun-if-env-changed" => declared.variables.push(value.to_owned()),
            _ => {}
        }
    }
    declared
}

fn instruction(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let rest = line
        .strip_prefix("cargo::")
        .or_else(|| line.strip_prefix("cargo:"))?;
    let (key, value) = rest.split_once('=')?;
    Some((key, value.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dep_file_of_cargo_1_95_is_read() {
        let bytes = b"\x01\0\0\0\xff\x01\x02\0\0\0\0\x0a\0\0\0src/lib.rs\0\x01\x08\0\0\0data.txt\0\x01\0\0\0\x03\0\0\0MYV\0";
        let info = parse_dep_info(bytes).expect("it is well-formed");
        assert_eq!(info.in_package, ["src/lib.rs"]);
        assert_eq!(info.in_target, ["data.txt"]);
        assert_eq!(info.variables, [("MYV".to_owned(), None)]);
    }

    #[rstest::rstest]
    #[case::empty(b"")]
    #[case::cut_off(b"\x01\0\0\0\xff\x01\x02\0\0\0\0\x0a\0\0\0src/l")]
    #[case::of_another_version(b"\x01\0\0\0\xff\x02\0\0\0\0\0\0\0\0")]
    #[case::cut_off_in_its_variables(b"\x01\0\0\0\xff\x01\0\0\0\0\x01\0\0\0\x03\0\0\0MYV\x01")]
    #[case::with_an_unknown_kind(b"\x01\0\0\0\xff\x01\x01\0\0\0\x07\x01\0\0\0a\0")]
    fn a_dep_file_that_is_not_understood_says_nothing(#[case] bytes: &[u8]) {
        assert_eq!(parse_dep_info(bytes), None);
    }

    #[rstest::rstest]
    #[case::of_cargo_1_95(
        b"\x01\0\0\0\xff\x01\x01\0\0\0\0\x0a\0\0\0src/lib.rs\0\x01\0\0\0\x03\0\0\0MYV\0"
    )]
    #[case::without_checksums(b"\x01\0\0\0\0\x0a\0\0\0src/lib.rs\x01\0\0\0\x03\0\0\0MYV\0")]
    fn files_are_added_to_a_dep_file_and_all_else_stays(#[case] bytes: &[u8]) {
        let more = with_more_files(bytes, &["/ws/data".to_owned(), "/ws/a b".to_owned()]);
        let info = parse_dep_info(&more.expect("it is well-formed")).expect("still so");
        assert_eq!(info.in_package, ["src/lib.rs"]);
        assert_eq!(info.in_target, ["/ws/data", "/ws/a b"]);
        assert_eq!(info.variables, [("MYV".to_owned(), None)]);
        assert_eq!(with_more_files(&bytes[1..], &[]), None);
    }

    #[test]
    fn all_prerequisites_of_a_crate_are_told() {
        let makefile = "# env-dep:X\n/t/a.d: src/lib.rs my\\ dir/b.rs /abs/c.rs\n\nsrc/lib.rs:\n";
        let sources: Vec<_> = prerequisites(makefile).collect();
        assert_eq!(sources, ["src/lib.rs", "my dir/b.rs", "/abs/c.rs"]);
    }

    #[rstest::rstest]
    #[case("/t/a.d: src/lib.rs src/b.rs\n", Some("src/lib.rs"))]
    #[case(
        "# env-dep:X=a: b\n/t/a.d: my\\ dir/src/lib.rs b.rs\n",
        Some("my dir/src/lib.rs")
    )]
    #[case("src/lib.rs:\n", None)]
    fn the_first_prerequisite_is_the_root_of_the_crate(
        #[case] makefile: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(crate_root(makefile).as_deref(), expected);
    }

    #[test]
    fn both_spellings_of_instructions_are_read() {
        let declared = parse_output(
            b"cargo:rerun-if-changed=a b\nnoise\n\xff\ncargo::rerun-if-env-changed=X\ncargo:rustc-cfg=y\n",
        );
        assert_eq!(declared.paths, ["a b"]);
        assert_eq!(declared.variables, ["X"]);
    }
}
