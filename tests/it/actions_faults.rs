//! What can go wrong between hotcrate and the cache service: what is tried again, and what the user is told.

use std::time::Duration;

use hotcrate::{
    deadline::Deadline,
    store::{ActionsStore, Store as _, StoreError},
};
use rstest::rstest;

use crate::support::{
    CacheService, Fault, Op,
    actions_store::{MAIN, fetch, impatient_store, noise, open, options, save, store, told},
    token,
};

/// An impatient store with the entry `a-key` of 12 MiB.
fn stocked(service: &CacheService, version: u32) -> ActionsStore {
    assert!(save(&store(service, version), "a-key", &[noise(12 << 20)]).unwrap());
    impatient_store(service, version)
}

fn status(status: u16) -> Fault {
    Fault::json(status, "{}")
}

fn twirp(status: u16, code: &str, message: &str) -> Fault {
    let body = serde_json::json!({"code": code, "msg": message});
    Fault::json(status, &body.to_string())
}

fn rate_limited(seconds: &str) -> Fault {
    Fault::Answer {
        status: 429,
        headers: vec![("retry-after", seconds.to_owned())],
        body: r#"{"code":"resource_exhausted","msg":"slow down"}"#.to_owned(),
    }
}

/// What a lookup tells that meets `fault` for ever, and how often it was tried.
fn look_up_under(fault: Fault) -> String {
    let service = CacheService::start();
    let store = stocked(&service, 2);
    service.fail(Op::LookUp, 0, 100, fault);
    let error = store.look_up("a-key", &[], Deadline::never()).unwrap_err();
    format!(
        "{} ({} tries)",
        without_port(&told(error)),
        service.count(Op::LookUp)
    )
}

/// What a save tells that meets `fault` for ever in requests about `op`, and how often that was tried.
fn save_under(op: Op, fault: Fault) -> String {
    let service = CacheService::start();
    let store = impatient_store(&service, 2);
    service.fail(op, 0, 100, fault);
    let pieces = vec![noise(9 << 20), noise(9 << 20)];
    let error = save(&store, "a-key", &pieces).unwrap_err();
    format!(
        "{} ({} tries)",
        without_port(&told(error)),
        service.count(op)
    )
}

/// What a restore tells that meets `fault` for ever, and how often a range was asked for.
fn restore_under(fault: Fault) -> String {
    let service = CacheService::start();
    let store = stocked(&service, 2);
    service.fail(Op::Download, 0, 100, fault);
    let error = fetch(&store, "a-key").unwrap_err();
    format!(
        "{} ({} tries)",
        without_port(&told(error)),
        service.count(Op::Download)
    )
}

/// Errors of the system differ from platform to platform behind the last colon, in brackets.
fn without_port(text: &str) -> String {
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn every_failure_of_a_lookup_has_words_of_its_own() {
    let html = Fault::Answer {
        status: 200,
        headers: vec![("content-type", "text/html".to_owned())],
        body: "<html>sign in</html>".to_owned(),
    };
    let redirect = Fault::Answer {
        status: 302,
        headers: vec![("location", "http://elsewhere.example/".to_owned())],
        body: String::new(),
    };
    insta::assert_snapshot!(look_up_under(status(401)), @"the cache service does not accept this job's token, which is good for some hours only (1 tries)");
    insta::assert_snapshot!(look_up_under(twirp(403, "permission_denied", "cache read denied: token has no readable scopes")), @"this run may not read the cache: token has no readable scopes (1 tries)");
    insta::assert_snapshot!(look_up_under(twirp(400, "invalid_argument", "key must be between 1 and 512 characters")), @"the cache service refuses the request (status 400): key must be between 1 and 512 characters (1 tries)");
    insta::assert_snapshot!(look_up_under(twirp(404, "bad_route", "no handler for path")), @"127.0.0.1 answered in a way that no cache service does: it knows no such call (1 tries)");
    insta::assert_snapshot!(look_up_under(twirp(403, "resource_exhausted", "insufficient usage to read")), @"the repository's share of the cache service is used up: insufficient usage to read (1 tries)");
    insta::assert_snapshot!(look_up_under(rate_limited("600")), @"the repository asks the cache service too often, and is to be left alone for 600 s (1 tries)");
    insta::assert_snapshot!(look_up_under(rate_limited("0")), @"the repository asks the cache service too often, and is to be left alone for 0 s (2 tries)");
    insta::assert_snapshot!(look_up_under(status(503)), @"127.0.0.1 has trouble of its own (status 503) (4 tries)");
    insta::assert_snapshot!(look_up_under(html), @"127.0.0.1 answered in a way that no cache service does: it is not JSON of the expected form (1 tries)");
    insta::assert_snapshot!(look_up_under(redirect), @"127.0.0.1 sends hotcrate to another address, which it does not follow (1 tries)");
    insta::assert_snapshot!(look_up_under(Fault::HangUp), @"127.0.0.1 broke off the connection: Peer disconnected (4 tries)");
    insta::assert_snapshot!(look_up_under(Fault::Silence), @"127.0.0.1 did not answer within 1s (1 tries)");
}

#[test]
fn every_failure_of_a_reservation_has_words_of_its_own_and_none_is_tried_twice() {
    let denied = Fault::json(
        200,
        r#"{"ok":false,"signed_upload_url":"","message":"cache write denied: token has no writable scopes"}"#,
    );
    insta::assert_snapshot!(save_under(Op::Reserve, denied), @"this run may not write to the cache: token has no writable scopes (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, twirp(429, "resource_exhausted", "insufficient usage: the budget is spent")), @"the repository's share of the cache service is used up: insufficient usage: the budget is spent (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, twirp(400, "invalid_argument", "version must be between 1 and 64 characters")), @"the cache service refuses the request (status 400): version must be between 1 and 64 characters (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, rate_limited("600")), @"the repository asks the cache service too often, and is to be left alone for 600 s (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, status(401)), @"the cache service does not accept this job's token, which is good for some hours only (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, status(502)), @"the cache service may have reserved the key, or not; it is not asked twice: 127.0.0.1 has trouble of its own (status 502) (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, Fault::Silence), @"the cache service may have reserved the key, or not; it is not asked twice: 127.0.0.1 did not answer within 1s (1 tries)");
    insta::assert_snapshot!(save_under(Op::Reserve, Fault::HangUpAfterwards), @"the cache service may have reserved the key, or not; it is not asked twice: 127.0.0.1 broke off the connection: Peer disconnected (1 tries)");
}

#[test]
fn every_failure_of_an_upload_has_words_of_its_own() {
    let expired = Fault::Answer {
        status: 403,
        headers: Vec::new(),
        body: "<Error><Code>AuthenticationFailed</Code></Error>".to_owned(),
    };
    insta::assert_snapshot!(save_under(Op::List, expired), @"the permission to upload to 127.0.0.1 is not valid any more (AuthenticationFailed) (1 tries)");
    insta::assert_snapshot!(save_under(Op::List, status(500)), @"127.0.0.1 has trouble of its own (status 500) (5 tries)");
    insta::assert_snapshot!(save_under(Op::List, Fault::Silence), @"127.0.0.1 stopped in the middle of a transfer: nothing came for 1s (2 tries)");
    insta::assert_snapshot!(save_under(Op::Commit, twirp(404, "not_found", "cache entry not found")), @"the cache service does not find what was uploaded (4 tries)");
    insta::assert_snapshot!(save_under(Op::Commit, Fault::json(200, r#"{"ok":false,"message":"the entry is too large"}"#)), @"the cache service did not keep the entry: the entry is too large (1 tries)");
    insta::assert_snapshot!(save_under(Op::Commit, status(401)), @"the cache service does not accept this job's token, which is good for some hours only (1 tries)");
}

#[test]
fn every_failure_of_a_download_has_words_of_its_own() {
    insta::assert_snapshot!(restore_under(status(403)), @"127.0.0.1 does not let the entry be downloaded (status 403) (9 tries)");
    insta::assert_snapshot!(restore_under(status(404)), @"entry a-key is gone (1 tries)");
    insta::assert_snapshot!(restore_under(status(500)), @"127.0.0.1 has trouble of its own (status 500) (5 tries)");
    insta::assert_snapshot!(restore_under(Fault::WrongPart), @"127.0.0.1 sent something else than the part that was asked for (5 tries)");
    insta::assert_snapshot!(restore_under(Fault::Whole(noise(9 << 20))), @"127.0.0.1 sends nothing but whole files (1 tries)");
    insta::assert_snapshot!(restore_under(Fault::StallBody), @"127.0.0.1 stopped in the middle of a transfer: nothing came for 1s (2 tries)");
}

#[rstest]
#[case::server_trouble(Op::LookUp, status(503))]
#[case::cut_lookup(Op::LookUp, Fault::HangUp)]
#[case::short_wait(Op::LookUp, rate_limited("0"))]
#[case::cut_body(Op::Download, Fault::CutBody)]
#[case::stalled_body(Op::Download, Fault::StallBody)]
#[case::hung_up(Op::Download, Fault::HangUp)]
#[case::wrong_part(Op::Download, Fault::WrongPart)]
#[case::long_body(Op::Download, Fault::LongBody)]
#[case::expired(Op::Download, status(403))]
#[case::storage_trouble(Op::Download, status(500))]
fn a_restore_survives_what_happens_once(
    #[case] op: Op,
    #[case] fault: Fault,
    #[values(0, 1)] skip: u32,
    #[values(1, 2)] version: u32,
) {
    let service = CacheService::start();
    let store = stocked(&service, version);
    service.fail(op, skip, 1, fault);
    assert!(fetch(&store, "a-key").unwrap().unwrap() == noise(12 << 20));
}

#[rstest]
#[case::server_trouble(Op::Upload, status(503))]
#[case::hung_up(Op::Upload, Fault::HangUp)]
#[case::answer_lost(Op::Upload, Fault::HangUpAfterwards)]
#[case::limited_reservation(Op::Reserve, rate_limited("0"))]
#[case::cut_commit(Op::Commit, Fault::HangUp)]
#[case::lost_commit(Op::Commit, Fault::HangUpAfterwards)]
fn a_save_survives_what_happens_once(
    #[case] op: Op,
    #[case] fault: Fault,
    #[values(1, 2)] version: u32,
) {
    let service = CacheService::start();
    let store = store(&service, version);
    service.fail(op, 0, 1, fault);
    assert!(save(&store, "a-key", &[noise(9 << 20), noise(9 << 20)]).unwrap());
    assert_eq!(service.entries()[0].size, Some(18 << 20));
}

#[test]
fn a_blob_that_is_not_seen_at_once_is_committed_a_moment_later() {
    let service = CacheService::start();
    let store = impatient_store(&service, 2);
    service.fail(
        Op::Commit,
        0,
        2,
        twirp(404, "not_found", "cache entry not found"),
    );
    assert!(save(&store, "a-key", &[noise(100)]).unwrap());
    assert_eq!(service.entries()[0].size, Some(100));
}

#[rstest]
fn a_whole_small_file_in_place_of_its_first_part_will_do(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = impatient_store(&service, version);
    assert!(save(&store, "a-key", &[noise(1000)]).unwrap());
    service.fail(Op::Download, 0, 1, Fault::Whole(noise(1000)));
    assert_eq!(fetch(&store, "a-key").unwrap(), Some(noise(1000)));
}

#[rstest]
fn an_entry_that_is_evicted_after_it_was_found_is_gone(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = stocked(&service, version);
    let found = store
        .look_up("a-key", &[], Deadline::never())
        .unwrap()
        .unwrap();
    service.lose_bytes();
    let lost = store.open(&found, Deadline::never()).map(|_| ());
    assert!(matches!(lost, Err(StoreError::Gone { .. })));
}

#[rstest]
fn a_run_that_may_only_read_is_told_so_once(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = open(options(&service, version, &token(&[(MAIN, 1)])));
    let error = save(&store, "a-key", &[noise(100)]).unwrap_err();
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(error), @"this run may not write to the cache: token has no writable scopes");
    }
    assert!(matches!(
        store.begin("b-key", Deadline::never()),
        Err(StoreError::Off { .. })
    ));
    assert_eq!(service.count(Op::Reserve), 1);
}

#[rstest]
fn a_run_that_may_read_nothing_is_told_so_once(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = open(options(&service, version, &token(&[(MAIN, 0)])));
    let error = store.look_up("a-key", &[], Deadline::never()).unwrap_err();
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(error), @"this run may not read the cache: token has no readable scopes");
    }
    assert!(matches!(
        store.look_up("a-key", &[], Deadline::never()),
        Err(StoreError::Off { .. })
    ));
    assert_eq!(service.count(Op::LookUp), 1);
}

#[test]
fn the_deadline_ends_what_is_under_way_and_the_next_one_begins_anew() {
    let service = CacheService::start();
    let store = store(&service, 2);
    assert!(save(&store, "a-key", &[noise(9 << 20)]).unwrap());
    service.fail(Op::Download, 0, 1, Fault::StallBody);
    // The stall alone would take half a minute.
    let deadline = Deadline::after(Duration::from_millis(200), "restore-timeout");
    let found = store.look_up("a-key", &[], Deadline::never()).unwrap();
    let opened = store.open(&found.unwrap(), deadline).map(|_| ());
    insta::assert_snapshot!(told(opened.unwrap_err()), @"it took longer than restore-timeout allows: 200ms");
    assert!(fetch(&store, "a-key").unwrap().is_some());
}

#[test]
fn a_key_that_no_store_takes_is_not_asked_for() {
    let service = CacheService::start();
    let store = store(&service, 2);
    let error = store.look_up("a,b", &[], Deadline::never()).unwrap_err();
    insta::assert_snapshot!(told(error), @r#""a,b" can't be a key: it has something else in it than a-z, 0-9 and `-`"#);
    assert!(service.seen().is_empty());
}
