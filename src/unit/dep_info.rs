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

/// The first prerequisite in a `.d` file: the crate's root. rustc escapes spaces with `\` and nothing else.
pub fn crate_root(makefile: &str) -> Option<String> {
    makefile
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .find_map(|(_, sources)| {
            let mut path = String::new();
            for piece in sources.split(' ') {
                if let Some(part) = piece.strip_suffix('\\') {
                    path.push_str(part);
                    path.push(' ');
                } else {
                    path.push_str(piece);
                    break;
                }
            }
            (!path.is_empty()).then_some(path)
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
