//! How requests are spaced, against a server that answers what a test wants.

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use super::{GitHub, GitHubAddress, GitHubError, Patience};
use crate::environment::Environment;

thread_local! {
    /// The pauses that this test's requests made.
    static PAUSES: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
}

fn note(pause: Duration) {
    PAUSES.with_borrow_mut(|pauses| pauses.push(pause));
}

fn pauses() -> Vec<Duration> {
    PAUSES.take()
}

/// GitHub's API at a server that gives these answers, one after the other: the status line, and headers with their line ends.
fn answering(answers: &'static [(&str, &str)]) -> GitHub {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for (status, headers) in answers {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let request = BufReader::new(stream.try_clone().expect("it is open"));
            // The request ends at the first empty line.
            request
                .lines()
                .map_while(Result::ok)
                .find(String::is_empty)
                .expect("the request has an end");
            let head = format!(
                "HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).expect("it is open");
        }
    });
    let environment = [("GITHUB_API_URL", url)].into_iter().collect();
    let repository = "octo/crab".parse().expect("it is a name");
    let address = GitHubAddress::read(repository, &environment);
    let patience = Patience {
        sleep: note,
        ..Patience::default()
    };
    GitHub::new(address, &Environment::default(), patience).expect("it is an address")
}

#[test]
fn a_second_lies_between_two_deletions() {
    let github = answering(&[("204 No Content", ""), ("204 No Content", "")]);
    assert!(github.delete(1).expect("it is there"));
    assert_eq!(pauses(), []);
    assert!(github.delete(2).expect("it is there"));
    let pauses = pauses();
    assert_eq!(pauses.len(), 1, "{pauses:?}");
    assert!(pauses[0] <= Duration::from_secs(1), "{pauses:?}");
}

#[test]
fn who_is_told_when_to_come_back_comes_back_then() {
    let github = answering(&[
        ("429 Too Many Requests", "Retry-After: 7\r\n"),
        ("403 Forbidden", "Retry-After: 11\r\n"),
        ("204 No Content", ""),
    ]);
    assert!(github.delete(1).expect("it is there in the end"));
    let told: Vec<_> = pauses()
        .into_iter()
        .filter(|pause| *pause > Duration::from_secs(1))
        .collect();
    assert_eq!(told, [7, 11].map(Duration::from_secs));
}

#[test]
fn who_is_told_to_come_back_next_hour_gives_up_at_once() {
    let github = answering(&[("429 Too Many Requests", "Retry-After: 3600\r\n")]);
    let error = github.delete(1).expect_err("it is too long");
    assert!(matches!(error, GitHubError::RateLimited { .. }), "{error}");
    assert_eq!(pauses(), []);
}
