//! The cache service as a store: what is saved comes back, and what goes wrong is told in words of its own.

use std::slice::from_ref;

use hotcrate::{
    deadline::Deadline,
    policy::CacheMode,
    store::{ActionsStore, Lookup, Reservation, Store as _, StoreError},
};
use rstest::rstest;

use crate::support::{
    CacheService, Fault, Host, Op, Seen,
    actions_store::{MAIN, VERSION, fetch, noise, open, options, save, store, told},
    token,
};

const PULL: &str = "refs/pull/7/merge";

#[rstest]
fn a_small_entry_comes_back(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    let bytes = noise(300_422);
    assert!(save(&store, "a-key", from_ref(&bytes)).unwrap());
    assert_eq!(fetch(&store, "a-key").unwrap(), Some(bytes));
    assert_eq!(service.count(Op::Upload), 1);
    assert_eq!(service.count(Op::List), 0);
    assert_eq!(service.count(Op::Download), 1);
}

#[rstest]
fn a_large_entry_goes_in_parts_and_comes_back_in_ranges(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    let bytes = noise(30 << 20);
    let pieces: Vec<_> = bytes.chunks(3_333_333).map(<[u8]>::to_vec).collect();
    assert!(save(&store, "a-key", &pieces).unwrap());
    assert!(service.count(Op::Upload) > 3);
    assert!(fetch(&store, "a-key").unwrap().unwrap() == bytes);
    assert!(service.count(Op::Download) > 3);
}

#[rstest]
fn ranges_can_be_read_from_several_threads(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    let bytes = noise(20 << 20);
    assert!(save(&store, "a-key", from_ref(&bytes)).unwrap());
    let found = store
        .look_up("a-key", &[], Deadline::never())
        .unwrap()
        .unwrap();
    let source = store.open(&found, Deadline::never()).unwrap();
    std::thread::scope(|scope| {
        for part in 0..10_usize {
            let (source, bytes) = (&source, &bytes);
            scope.spawn(move || {
                let offset = part * (2 << 20);
                let range = source.read_range(offset as u64, 2 << 20).unwrap();
                assert!(range == bytes[offset..offset + (2 << 20)]);
            });
        }
    });
}

#[rstest]
fn the_closest_entry_answers(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    for key in ["deps-a-1", "deps-a-2", "deps-b-1"] {
        assert!(save(&store, key, &[noise(100)]).unwrap());
    }
    let find = |key: &str, restore_keys: &[&str]| {
        let restore_keys: Vec<_> = restore_keys.iter().map(ToString::to_string).collect();
        let found = store
            .look_up(key, &restore_keys, Deadline::never())
            .unwrap();
        found.map(|found| found.key)
    };
    assert_eq!(find("deps-a-1", &[]).as_deref(), Some("deps-a-1"));
    assert_eq!(find("deps-a-", &[]).as_deref(), Some("deps-a-2"));
    assert_eq!(
        find("deps-c-", &["deps-b-", "deps-"]).as_deref(),
        Some("deps-b-1")
    );
    assert_eq!(find("deps-c-", &["deps-"]).as_deref(), Some("deps-b-1"));
    assert_eq!(find("tools-", &[]), None);
}

#[rstest]
fn entries_of_another_format_are_not_found(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    assert!(save(&store(&service, version), "a-key", &[noise(100)]).unwrap());
    let mut options = options(&service, version, &token(&[(MAIN, 3)]));
    options.version = VERSION.replace('a', "b");
    assert_eq!(fetch(&open(options), "a-key").unwrap(), None);
}

#[rstest]
fn a_pull_request_reads_main_and_writes_beside_it(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let main = store(&service, version);
    let pull = open(options(&service, version, &token(&[(PULL, 3), (MAIN, 1)])));
    assert!(save(&main, "a-key", &[noise(100)]).unwrap());
    assert_eq!(fetch(&pull, "a-key").unwrap(), Some(noise(100)));
    assert!(save(&pull, "a-key", &[noise(200)]).unwrap());
    assert_eq!(fetch(&pull, "a-key").unwrap(), Some(noise(200)));
    assert_eq!(fetch(&main, "a-key").unwrap(), Some(noise(100)));
}

#[rstest]
fn a_key_that_is_taken_stays_as_it_is(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    assert!(save(&store, "a-key", &[noise(100)]).unwrap());
    assert!(!save(&store, "a-key", &[noise(200)]).unwrap());
    assert_eq!(fetch(&store, "a-key").unwrap(), Some(noise(100)));
    // Of a larger one that becomes known as soon as there is a part to send.
    let large = vec![noise(9 << 20), noise(9 << 20)];
    let error = save(&store, "a-key", &large).unwrap_err();
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(error), @"an entry a-key is there already");
    }
    assert_eq!(service.count(Op::Upload), 1);
}

#[rstest]
fn nothing_is_reserved_for_an_entry_that_is_not_finished(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    let Reservation::Granted(mut upload) = store.begin("a-key", Deadline::never()).unwrap() else {
        unreachable!("the key is free");
    };
    upload.write_all(noise(1 << 20)).unwrap();
    drop(upload);
    assert_eq!(service.entries(), []);
    assert!(save(&store, "a-key", &[noise(100)]).unwrap());
}

#[rstest]
fn the_token_reaches_the_service_and_never_the_storage(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    assert!(save(&store, "a-key", &[noise(9 << 20), noise(9 << 20)]).unwrap());
    assert!(fetch(&store, "a-key").unwrap().is_some());
    let (to_service, to_storage): (Vec<_>, Vec<_>) = service
        .seen()
        .into_iter()
        .partition(|seen| seen.host == Host::Service);
    let has_token = |seen: &Seen| seen.header("authorization").is_some();
    assert!(to_service.iter().all(has_token));
    assert!(!to_storage.is_empty());
    assert!(!to_storage.iter().any(has_token));
    let agent = |seen: &Seen| seen.header("user-agent").unwrap_or_default().to_owned();
    assert!(
        to_service
            .iter()
            .all(|seen| agent(seen).starts_with("hotcrate/"))
    );
}

#[test]
fn requests_of_version_2_are_those_of_githubs_own_client() {
    let service = CacheService::start();
    let store = store(&service, 2);
    assert!(save(&store, "a-key", &[noise(300_422)]).unwrap());
    let restore_keys = ["a-".to_owned()];
    let found = store.look_up("b-key", &restore_keys, Deadline::never());
    assert!(found.unwrap().is_some());
    assert_eq!(service.bytes_of("a-key"), Some(noise(300_422)));
    let lines: Vec<_> = service.seen().iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    POST /twirp/github.actions.results.api.v1.CacheService/CreateCacheEntry content-type: application/json content-length: 92 accept: */* {"key":"a-key","version":"00000000000000000000000000000000000000000000000000000000000000aa"}
    PUT /devstoreaccount1/actions-cache/1 content-type: application/octet-stream content-length: 300422 accept: */* x-ms-blob-type: BlockBlob 
    POST /twirp/github.actions.results.api.v1.CacheService/FinalizeCacheEntryUpload content-type: application/json content-length: 114 accept: */* {"key":"a-key","size_bytes":"300422","version":"00000000000000000000000000000000000000000000000000000000000000aa"}
    POST /twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL content-type: application/json content-length: 114 accept: */* {"key":"b-key","restore_keys":["a-"],"version":"00000000000000000000000000000000000000000000000000000000000000aa"}
    "#);
}

#[test]
fn requests_of_version_1_are_those_of_githubs_own_client() {
    let service = CacheService::start();
    let store = store(&service, 1);
    assert!(save(&store, "a-key", &[noise(300_422)]).unwrap());
    let restore_keys = ["a-".to_owned()];
    let found = store.look_up("b-key", &restore_keys, Deadline::never());
    assert!(found.unwrap().is_some());
    let lines: Vec<_> = service.seen().iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    POST /secret/_apis/artifactcache/caches content-type: application/json content-length: 111 accept: application/json;api-version=6.0-preview.1 {"key":"a-key","version":"00000000000000000000000000000000000000000000000000000000000000aa","cacheSize":300422}
    PATCH /secret/_apis/artifactcache/caches/1 content-type: application/octet-stream content-length: 300422 content-range: bytes 0-300421/* accept: application/json;api-version=6.0-preview.1 
    POST /secret/_apis/artifactcache/caches/1 content-type: application/json content-length: 15 accept: application/json;api-version=6.0-preview.1 {"size":300422}
    GET /secret/_apis/artifactcache/cache?keys=b-key%2Ca-&version=00000000000000000000000000000000000000000000000000000000000000aa accept: application/json;api-version=6.0-preview.1
    "#);
}

/// A request in one line, with what a client is free in left out.
fn line(seen: &Seen) -> String {
    let target = seen.target.split("?sv=").next().unwrap_or_default();
    let headers = [
        "content-type",
        "content-length",
        "content-range",
        "accept",
        "x-ms-blob-type",
    ];
    let headers: Vec<_> = headers
        .iter()
        .filter_map(|name| Some(format!(" {name}: {}", seen.header(name)?)))
        .collect();
    format!(
        "{} {target}{} {}",
        seen.method,
        headers.concat(),
        String::from_utf8_lossy(&seen.body)
    )
}

#[test]
fn a_url_that_expires_is_replaced() {
    let service = CacheService::start();
    let store = store(&service, 2);
    let bytes = noise(20 << 20);
    assert!(save(&store, "a-key", from_ref(&bytes)).unwrap());
    service.let_urls_expire_after(2);
    assert!(fetch(&store, "a-key").unwrap().unwrap() == bytes);
    assert!(service.count(Op::LookUp) > 2);
}

#[rstest]
#[case(CacheMode::None)]
#[case(CacheMode::WriteOnly)]
fn a_mode_that_forbids_reading_asks_nobody(#[case] mode: CacheMode) {
    let service = CacheService::start();
    let mut options = options(&service, 2, &token(&[(MAIN, 3)]));
    options.cache_mode = mode;
    let refused = open(options).look_up("a-key", &[], Deadline::never());
    assert!(matches!(refused, Err(StoreError::Off { .. })));
    assert!(service.seen().is_empty());
}

#[test]
fn a_service_that_is_gone_is_asked_once() {
    let service = CacheService::start();
    let store = store(&service, 2);
    service.die();
    let error = store.look_up("a-key", &[], Deadline::never()).unwrap_err();
    assert!(told(error).starts_with("127.0.0.1 can't be reached: "));
    let error = store.look_up("a-key", &[], Deadline::never()).unwrap_err();
    insta::assert_snapshot!(told(error), @"the cache service was given up, as the warning says");
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_broke() {
    let service = CacheService::start();
    let store = store(&service, 2);
    let bytes = noise(20 << 20);
    assert!(save(&store, "a-key", from_ref(&bytes)).unwrap());
    service.fail(Op::Download, 1, 2, Fault::CutBody);
    assert!(fetch(&store, "a-key").unwrap().unwrap() == bytes);
}

/// What comes of asking for `a-b-1`, or anything of `a-b-`, with `a-` for the nearest.
fn ask(store: &ActionsStore) -> Lookup {
    let restore_keys = ["a-b-".to_owned()];
    store
        .look_up_or_nearest("a-b-1", &restore_keys, "a-", Deadline::never())
        .unwrap()
}

#[rstest]
fn where_nothing_is_stored_a_lookup_is_one_request(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let answer = ask(&store(&service, version));
    assert_eq!(answer, Lookup::Nothing { nearest: None });
    assert_eq!(service.count(Op::LookUp), 1);
}

#[rstest]
fn what_does_not_fit_is_named_without_being_taken_for_what_does(#[values(1, 2)] version: u32) {
    let service = CacheService::start();
    let store = store(&service, version);
    assert!(save(&store, "a-c-1", &[noise(100)]).unwrap());
    let Lookup::Nothing {
        nearest: Some(nearest),
    } = ask(&store)
    else {
        panic!("a-c-1 is no entry of a-b-");
    };
    assert_eq!(nearest.key, "a-c-1");

    assert!(save(&store, "a-b-2", &[noise(100)]).unwrap());
    let before = service.count(Op::LookUp);
    assert!(matches!(ask(&store), Lookup::Found(found) if found.key == "a-b-2"));
    assert_eq!(service.count(Op::LookUp), before + 1);
}

/// The service looks through the run's own branch first, for everything that is asked for.
#[rstest]
fn an_entry_of_the_own_branch_that_does_not_fit_hides_none_of_main_that_does(
    #[values(1, 2)] version: u32,
) {
    let service = CacheService::start();
    assert!(save(&store(&service, version), "a-b-2", &[noise(100)]).unwrap());
    let of_pull = open(options(&service, version, &token(&[(PULL, 3), (MAIN, 1)])));
    assert!(save(&of_pull, "a-c-1", &[noise(100)]).unwrap());
    assert!(matches!(ask(&of_pull), Lookup::Found(found) if found.key == "a-b-2"));
}
