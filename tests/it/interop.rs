//! The cache service with what others wrote on the other side: a fake of ours can share our misunderstandings.

use std::{io::Read as _, path::Path, slice::from_ref};

use fs_err as fs;
use hotcrate::store::ActionsStore;
use rstest::rstest;

use crate::support::{
    CacheService, Op, Sandbox, Tree,
    actions_store::{MAIN, fetch, noise, open, options, save, store, told},
    interop::{Azurite, GitHubClient},
    token,
};

/// Fills `directory` with files of all kinds.
fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("deep/er")).unwrap();
    fs::write(directory.join("large"), noise(3 << 20)).unwrap();
    fs::write(directory.join("empty"), "").unwrap();
    fs::write(directory.join("deep/er/text"), "text\n".repeat(1000)).unwrap();
    #[cfg(unix)]
    fs::os::unix::fs::symlink("../large", directory.join("deep/link")).unwrap();
}

/// A store for the entries of GitHub's own client.
fn store_for(service: &CacheService, version: u32) -> ActionsStore {
    let mut options = options(service, version, &token(&[(MAIN, 3)]));
    options.version = GitHubClient::version();
    open(options)
}

#[rstest]
fn githubs_own_client_saves_to_our_service_and_restores_from_it(#[values(1, 2)] version: u32) {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let token = token(&[(MAIN, 3)]);
    let Some(client) = GitHubClient::new(&sandbox, &service, version, &token) else {
        return;
    };
    fill(&client.data());
    let before = Tree::of(&client.data());
    assert!(client.save("a-key-1").is_some_and(|id| id > 0));
    // Taken: the client says so and goes on.
    assert_eq!(client.save("a-key-1"), Some(-1));
    fs::remove_dir_all(client.data()).unwrap();
    assert_eq!(client.restore("b-key", &[]), None);
    let restored = client.restore("b-key", &["a-key-"]);
    assert_eq!(restored.as_deref(), Some("a-key-1"));
    assert_eq!(Tree::of(&client.data()), before);
}

#[rstest]
fn we_restore_what_githubs_own_client_saved(#[values(1, 2)] version: u32) {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let token = token(&[(MAIN, 3)]);
    let Some(client) = GitHubClient::new(&sandbox, &service, version, &token) else {
        return;
    };
    fill(&client.data());
    assert!(client.save("a-key").is_some());
    let bytes = fetch(&store_for(&service, version), "a-key").unwrap();
    let bytes = bytes.expect("the version is the client's, and so is the key");
    let mut content = Vec::new();
    zstd::stream::read::Decoder::new(bytes.as_slice())
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    let names: Vec<_> = tar::Archive::new(content.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.contains(&"data/large".to_owned()), "{names:?}");
}

#[rstest]
fn githubs_own_client_restores_what_we_saved(#[values(1, 2)] version: u32) {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let token = token(&[(MAIN, 3)]);
    let Some(client) = GitHubClient::new(&sandbox, &service, version, &token) else {
        return;
    };
    fill(&client.data());
    let before = Tree::of(&client.data());
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    archive.append_dir_all("data", client.data()).unwrap();
    let archive = archive.into_inner().unwrap();
    // Two frames, as hotcrate's own archives have many, and more than one part.
    let (first, second) = archive.split_at(archive.len() / 2);
    let mut pieces = [first, second].map(|half| zstd::encode_all(half, 1).unwrap());
    pieces[1].extend(padding(9 << 20));
    let store = store_for(&service, version);
    assert!(save(&store, "a-key", &pieces).unwrap());
    fs::remove_dir_all(client.data()).unwrap();
    assert_eq!(client.restore("a-key", &[]).as_deref(), Some("a-key"));
    let after = Tree::of(&client.data());
    assert!(after.paths().eq(before.paths()));
    assert!(fs::read(client.data().join("large")).unwrap() == noise(3 << 20));
}

/// A skippable frame of so many bytes (RFC 8878 section 3.1.2).
fn padding(length: u32) -> Vec<u8> {
    let mut frame = 0x184D_2A50_u32.to_le_bytes().to_vec();
    frame.extend(length.to_le_bytes());
    frame.extend(noise(usize::try_from(length).unwrap()));
    frame
}

#[test]
fn microsofts_emulator_of_its_storage_takes_our_blocks_and_sends_our_ranges() {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let Some(azurite) = Azurite::start(&sandbox) else {
        return;
    };
    service.keep_bytes_at(azurite.urls(true));
    let store = store(&service, 2);
    let small = noise(1000);
    assert!(save(&store, "small", from_ref(&small)).unwrap());
    assert_eq!(fetch(&store, "small").unwrap(), Some(small));
    let large = noise(30 << 20);
    let pieces: Vec<_> = large.chunks(4_444_444).map(<[u8]>::to_vec).collect();
    assert!(save(&store, "large", &pieces).unwrap());
    assert!(fetch(&store, "large").unwrap().unwrap() == large);
    assert_eq!(service.count(Op::Upload), 0);
}

#[test]
fn microsofts_emulator_refuses_a_url_whose_time_is_over() {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let Some(azurite) = Azurite::start(&sandbox) else {
        return;
    };
    service.keep_bytes_at(azurite.urls(false));
    let store = store(&service, 2);
    let error = save(&store, "a-key", &[noise(1000)]).unwrap_err();
    insta::assert_snapshot!(told(error), @"the permission to upload to 127.0.0.1 is not valid any more (AuthorizationFailure)");
    service.keep_bytes_at(azurite.urls(true));
    assert!(save(&store, "b-key", &[noise(1000)]).unwrap());
    service.keep_bytes_at(azurite.urls(false));
    let error = fetch(&store, "b-key").unwrap_err();
    insta::assert_snapshot!(told(error), @"127.0.0.1 does not let the entry be downloaded (AuthorizationFailure)");
}
