//! The tar headers of a member, for other tools than hotcrate.
//!
//! POSIX pax (IEEE Std 1003.1, `pax`, "pax Interchange Format"): a ustar header, and in front of it, where that can't
//! say everything, an extended one with `mtime` in nanoseconds, long or non-ASCII names, and large sizes.

use std::time::SystemTime;

use super::index::{Content, IndexMember, padded, split_time};

/// Blocks of zeros at the end of every tar stream.
pub(super) const END_OF_ARCHIVE: u64 = 1024;

const BLOCK: usize = 512;

/// Appends the headers of `member` to `out`. `linked` is the name of the member that a hard link links to.
pub(super) fn write_headers(out: &mut Vec<u8>, member: &IndexMember, linked: Option<&str>) {
    let mut name = member.name.as_str().to_owned();
    let (kind, size, link) = match &member.content {
        Content::File { size, .. } => (b'0', *size, None),
        Content::HardLink { .. } => (b'1', 0, linked),
        Content::Symlink { target } => (b'2', 0, Some(target.as_str())),
        Content::Directory => {
            name.push('/');
            (b'5', 0, None)
        }
    };
    let records = extended_records(&name, link, size, member.modified);
    if !records.is_empty() {
        // What stands in the name does not matter to readers of pax; others see files of this name.
        let extended = Ustar {
            name: "PaxHeaders/member",
            mode: 0o644,
            size: records.len() as u64,
            modified: member.modified,
            kind: b'x',
            link: "",
        };
        out.extend(extended.block());
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let plain = Ustar {
        name: &name,
        mode: member.mode,
        size,
        modified: member.modified,
        kind,
        link: link.unwrap_or_default(),
    };
    out.extend(plain.block());
}

/// What the ustar header can't say.
fn extended_records(name: &str, link: Option<&str>, size: u64, modified: SystemTime) -> Vec<u8> {
    let mut records = Vec::new();
    let fits = |text: &str| text.len() <= 100 && text.is_ascii();
    if !fits(name) {
        record(&mut records, "path", name);
    }
    if let Some(link) = link.filter(|link| !fits(link)) {
        record(&mut records, "linkpath", link);
    }
    if size > MOST_OCTAL {
        record(&mut records, "size", &size.to_string());
    }
    let (seconds, nanos) = split_time(modified);
    if nanos != 0 || !(0..=MOST_OCTAL.cast_signed()).contains(&seconds) {
        record(&mut records, "mtime", &decimal(seconds, nanos));
    }
    records
}

/// The largest number of 11 octal digits.
const MOST_OCTAL: u64 = 0o777_7777_7777;

/// A time as a decimal number of seconds.
fn decimal(seconds: i64, nanos: u32) -> String {
    match nanos {
        0 => seconds.to_string(),
        // Seconds are rounded down: -1.5 is -2 and half a second.
        _ if seconds < 0 => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
        _ => format!("{seconds}.{nanos:09}"),
    }
}

/// Appends `<length> <key>=<value>\n`, where the length counts its own digits too.
fn record(records: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
}

/// One ustar header. What does not fit is cut off; an extended header in front of it says it in full.
struct Ustar<'a> {
    name: &'a str,
    mode: u32,
    size: u64,
    modified: SystemTime,
    kind: u8,
    link: &'a str,
}

impl Ustar<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let (seconds, _) = split_time(self.modified);
        let seconds = u64::try_from(seconds).unwrap_or(0).min(MOST_OCTAL);
        put(&mut block[..100], self.name.as_bytes());
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        octal(&mut block[124..136], self.size.min(MOST_OCTAL));
        octal(&mut block[136..148], seconds);
        block[148..156].fill(b' ');
        block[156] = self.kind;
        put(&mut block[157..257], self.link.as_bytes());
        put(&mut block[257..265], b"ustar\x0000");
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = field.len().min(bytes.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Fills all but the last byte of `field` with octal digits.
fn octal(field: &mut [u8], mut number: u64) {
    let Some((end, digits)) = field.split_last_mut() else {
        return;
    };
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number & 7).to_le_bytes()[0];
        number >>= 3;
    }
}

/// How many bytes of the tar stream a member takes behind its headers.
pub(super) fn data_length(content: &Content) -> u64 {
    match content {
        Content::File { size, .. } => padded(*size),
        Content::HardLink { .. } | Content::Symlink { .. } | Content::Directory => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rstest::rstest;

    use super::*;
    use crate::archive::path::RelativePath;

    #[rstest]
    #[case(0, 0, "0")]
    #[case(5, 1, "5.000000001")]
    #[case(-2, 500_000_000, "-1.500000000")]
    #[case(-1, 999_999_999, "-0.000000001")]
    fn a_time_is_written_as_a_decimal(
        #[case] seconds: i64,
        #[case] nanos: u32,
        #[case] text: &str,
    ) {
        assert_eq!(decimal(seconds, nanos), text);
    }

    #[rstest]
    #[case(1, "6 a=b\n")]
    #[case(4, "9 a=bbbb\n")]
    #[case(5, "11 a=bbbbb\n")]
    fn a_record_counts_the_digits_of_its_own_length(#[case] length: usize, #[case] text: &str) {
        let mut records = Vec::new();
        record(&mut records, "a", &"b".repeat(length));
        assert_eq!(String::from_utf8(records).unwrap(), text);
    }

    #[test]
    fn another_implementation_of_tar_reads_what_the_headers_say() {
        let name = format!("r/{}/ü", "long".repeat(40));
        let member = IndexMember {
            name: RelativePath::new(name.as_str()).unwrap(),
            mode: 0o640,
            modified: UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789),
            content: Content::HardLink { to: 0 },
        };
        let mut stream = Vec::new();
        write_headers(&mut stream, &member, Some("r/other"));
        stream.resize(stream.len() + 1024, 0);
        let mut archive = tar::Archive::new(&stream[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path_bytes(), name.as_bytes());
        assert_eq!(entry.link_name_bytes().unwrap(), &b"r/other"[..]);
        assert_eq!(entry.header().mode().unwrap(), 0o640);
        assert_eq!(entry.header().mtime().unwrap(), 1_700_000_000);
        let extensions: Vec<_> = entry
            .pax_extensions()
            .unwrap()
            .unwrap()
            .map(|extension| extension.unwrap().key().unwrap().to_owned())
            .collect();
        assert_eq!(extensions, ["path", "mtime"]);
    }
}
