//! Settings are read from files, and results are written to them.

use std::fmt::Debug;
use std::time::Duration;

use larder_toolkit::Ttl;
use larder_toolkit::cache::{self, Keep};
use larder_toolkit::leaderboard::{self, Best, Placed, Ties};
use larder_toolkit::lock::{Extension, Holder, Lost};
use larder_toolkit::pubsub;
use larder_toolkit::rate_limit::{self, Decision, Denied, Limit, Permit, Quota};
use larder_toolkit::session::{AtMost, Listed, Secret};
use larder_toolkit::stream::{
    Added, Backoff, Cron, DeadLetter, Delayed, Entry, Id, Info, Metrics, Pending, Schedule, Start,
    Summary, Trim, Trimmed,
};
use serde::Serialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

/// What serde makes of a text.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let reader: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(reader)
}

#[track_caller]
fn is_read_as<T: DeserializeOwned + Debug + PartialEq>(text: &str, setting: T) {
    assert_eq!(read(text), Ok(setting));
}

#[track_caller]
fn is_refused<T: DeserializeOwned + Debug>(texts: &[&str]) {
    for text in texts {
        let error = read::<T>(text).expect_err("it is no such setting");
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn every_setting_is_read_from_text() {
    let week = Duration::from_secs(7 * 86_400);
    is_read_as("5m", Ttl::minutes(5));
    is_read_as("100/s", Quota::per_second(100));
    is_read_as(
        "sliding-window 5/m",
        Limit::sliding_window(Quota::per_minute(5)),
    );
    is_read_as("deny", rate_limit::WithoutStore::Deny);
    is_read_as("fail", cache::WithoutStore::Fail);
    is_read_as("load 8", cache::WithoutStore::Load { at_once: 8 });
    is_read_as("by-hand", Extension::ByHand);
    is_read_as("end-oldest", AtMost::EndOldest);
    is_read_as("highest", Best::Highest);
    is_read_as("dense", Ties::Dense);
    is_read_as("never", Trim::Never);
    is_read_as("handled", Trim::Handled);
    is_read_as("max-len 1000", Trim::MaxLen(1000));
    is_read_as("max-age 7d", Trim::MaxAge(week));
    is_read_as("earliest", Start::Earliest);
    is_read_as("latest", Start::Latest);
    is_read_as("after 7-1", Start::After(Id { ms: 7, seq: 1 }));
    is_read_as(
        "*/5 * * * *",
        Cron::parse("*/5 * * * *").expect("it is one"),
    );
    let backoff = Backoff::between(Duration::from_millis(250), Duration::from_secs(60));
    is_read_as("250ms to 1m", backoff);
    assert!(read::<Secret>(&"k".repeat(32)).is_ok());
}

#[test]
fn a_setting_that_cant_be_is_refused_with_what_stands_there() {
    is_refused::<Ttl>(&["0s", "5"]);
    is_refused::<Trim>(&[
        "",
        "all",
        "max-len",
        "max-len 0",
        "max-len x",
        "max-age 0s",
        "never 1",
    ]);
    is_refused::<Start>(&["", "first", "after"]);
    let error = read::<Start>("after 7").expect_err("an id has two numbers");
    assert!(error.to_string().contains("not \"after 7\""), "{error}");
    is_refused::<Backoff>(&["", "1s", "1m to 1s", "1s to x"]);
    is_refused::<cache::WithoutStore>(&["", "load", "load 0", "load -1", "allow"]);
    let error = read::<rate_limit::WithoutStore>("pass").expect_err("it is none");
    assert!(error.to_string().contains("`pass`"), "{error}");
}

#[test]
fn how_an_entry_is_kept_is_read_name_by_name() {
    let keep = |json: &str| serde_json::from_str::<Keep>(json).map_err(|error| error.to_string());
    assert_eq!(keep("{}"), Ok(Keep::new()));
    let hour = Keep::new().ttl(Ttl::hours(1)).tag("red");
    assert_eq!(keep(r#"{"ttl": "1h", "tags": ["red"]}"#), Ok(hour));
    let slip = keep(r#"{"tll": "1h"}"#).expect_err("it is a slip of the pen");
    assert!(slip.contains("tll"), "{slip}");
}

/// It says so to the compiler.
#[test]
fn every_result_can_be_written() {
    fn written<T: Serialize>() {}
    written::<cache::Stats>();
    written::<pubsub::Event<u32>>();
    written::<Holder>();
    written::<Lost>();
    written::<Decision>();
    written::<Denied>();
    written::<Permit>();
    written::<Listed>();
    written::<Added>();
    written::<Delayed>();
    written::<Schedule>();
    written::<Entry<u32>>();
    written::<DeadLetter<u32>>();
    written::<Info>();
    written::<Pending>();
    written::<Summary>();
    written::<Trimmed>();
    written::<Metrics>();
    written::<Id>();
    written::<leaderboard::Entry>();
    written::<Placed>();
}

/// What somebody keeps, to use it later.
#[test]
fn what_a_program_keeps_of_a_result_is_read_again() {
    fn kept<T: Serialize + DeserializeOwned>() {}
    kept::<Permit>();
    kept::<Delayed>();
    kept::<Id>();
}
