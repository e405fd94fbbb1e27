//! What sccache says that it did: the JSON of `--show-stats --stats-format=json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::report::SccacheReport;

/// The answer is none that is known.
#[derive(Debug, thiserror::Error)]
#[error("the statistics of sccache cannot be read")]
pub struct StatsError(#[from] serde_json::Error);

/// The fields that are told. All are optional: a release that drops one leaves it at 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    cache_hits: Counts,
    cache_misses: Counts,
    cache_errors: Counts,
    cache_timeouts: u64,
    cache_read_errors: u64,
    cache_write_errors: u64,
    cache_writes: u64,
    requests_not_cacheable: u64,
    not_cached: BTreeMap<String, u64>,
}

/// Counts by language.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    counts: BTreeMap<String, u64>,
}

impl Counts {
    fn sum(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Reads the answer of an sccache of that version.
pub fn read_stats(json: &str, version: &str) -> Result<SccacheReport, StatsError> {
    #[derive(Deserialize)]
    struct Answer {
        stats: Stats,
    }
    let Answer { stats } = serde_json::from_str(json)?;
    Ok(SccacheReport {
        version: version.to_owned(),
        hits: stats.cache_hits.sum(),
        misses: stats.cache_misses.sum(),
        not_cacheable: stats.requests_not_cacheable,
        reasons: stats.not_cached,
        written: stats.cache_writes,
        errors: stats.cache_errors.sum()
            + stats.cache_timeouts
            + stats.cache_read_errors
            + stats.cache_write_errors,
        fell_back: 0,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sccache 0.16.0 printed after a build, shortened.
    const ANSWER: &str = r#"{"stats":{"compile_requests":62,"requests_unsupported_compiler":0,"requests_not_compile":4,
        "requests_not_cacheable":16,"requests_executed":42,"cache_errors":{"counts":{"Rust":1},"adv_counts":{}},
        "cache_hits":{"counts":{"Rust":20,"C/C++":2},"adv_counts":{"rust":20}},
        "cache_misses":{"counts":{"Rust":20},"adv_counts":{"rust":20}},"cache_timeouts":0,"cache_read_errors":1,
        "non_cacheable_compilations":0,"forced_recaches":0,"cache_write_errors":2,"cache_writes":18,"compilations":20,
        "cache_write_duration":{"secs":0,"nanos":9000000},"not_cached":{"bin":12,"crate-type":4},"multi_level":null},
        "cache_location":"Local disk: \"/x\"","cache_size":null,"max_cache_size":536870912,"version":"0.16.0"}"#;

    #[test]
    fn counts_are_summed_over_languages_and_errors_over_their_kinds() {
        let report = read_stats(ANSWER, "0.16.0").expect("it is JSON");
        assert_eq!((report.hits, report.misses), (22, 20));
        assert_eq!((report.not_cacheable, report.errors), (16, 4));
        assert_eq!(report.written, 18);
        assert_eq!(report.reasons["bin"], 12);
    }

    #[test]
    fn what_a_release_leaves_out_counts_as_none() {
        let report = read_stats(r#"{"stats":{}}"#, "9.0.0").expect("it is JSON");
        assert_eq!((report.hits, report.errors), (0, 0));
        assert!(read_stats("no stats", "9.0.0").is_err());
    }
}
