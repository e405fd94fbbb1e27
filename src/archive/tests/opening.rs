//! How much of an archive is read to open it, wherever its pieces happen to lie.

use super::{
    hostile::{Forgery, directory},
    *,
};
use crate::{key::Digest, stream::FIRST_RANGE};

/// Offsets and lengths of what opening reads.
fn ranges_read(bytes: Vec<u8>) -> Vec<(u64, usize)> {
    let source = Bytes::new(bytes);
    open(&source).unwrap();
    source.read.into_inner().unwrap()
}

#[test]
fn a_small_archive_is_opened_with_one_range() {
    assert_eq!(ranges_read(pack_all(&[])).len(), 1);
}

#[test]
fn a_footer_on_the_border_of_the_first_range_is_found() {
    let first = usize::try_from(FIRST_RANGE).unwrap();
    let around = Forgery::new().frame(&noise(first)).bytes().len() - first;
    for beyond in [0, 1, 30, 60, 61, 200] {
        // Noise does not shrink, so what is around it decides the total.
        let bytes = Forgery::new()
            .frame(&noise(first + beyond - around))
            .bytes();
        assert_eq!(bytes.len(), first + beyond);
        assert_eq!(
            ranges_read(bytes).len(),
            1 + usize::from(beyond > 0),
            "{beyond}"
        );
    }
}

#[test]
fn an_index_that_is_larger_than_the_tail_takes_one_range_more() {
    let forgery = Forgery::new().frame(&noise(9 << 20));
    let forgery = (0..40_000_u64).fold(forgery, |forgery, number| {
        let name = Digest::of_bytes(&number.to_le_bytes());
        forgery.member(&format!("r/{name}"), directory())
    });
    assert_eq!(ranges_read(forgery.bytes()).len(), 3);
}
