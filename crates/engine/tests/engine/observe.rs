//! What INFO, SLOWLOG, LATENCY, MONITOR and CLIENT LIST tell of what others do.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use larder_engine::{Buffers, Mail};

use crate::support::{Connection, engine, later_ms};

impl Connection {
    /// Has each command take so long that is timed.
    fn slow_by_us(self, us: u64) -> Connection {
        self.clock.look_us.set(us);
        self
    }

    /// What monitors have been shown, without the time.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(Mail::Message(message)) = self.mailbox.take() {
            let line = String::from_utf8_lossy(message.encoded(false)).into_owned();
            let (_, line) = line.split_once(' ').unwrap_or_default();
            lines.push(line.trim_end().to_owned());
        }
        lines
    }
}

// --- counting ---------------------------------------------------------------------------------

#[test]
fn calls_are_counted_with_those_that_were_refused_before_and_while_they_ran() {
    let mut client = Connection::open();
    client.send("SET a 1");
    client.send("LPUSH a x");
    client.send("LPUSH");
    client.send("MULTI");
    client.send("LPUSH");
    client.send("EXEC");
    client.send("nosuch");
    let lpush = client.info("cmdstat_lpush:");
    let lpush = lpush.expect("it was counted");
    assert!(lpush.starts_with("calls=1,"), "{lpush}");
    assert!(
        lpush.ends_with(",rejected_calls=2,failed_calls=1"),
        "{lpush}"
    );
    let exec = client.info("cmdstat_exec:").expect("it was counted");
    assert!(exec.ends_with(",rejected_calls=0,failed_calls=1"), "{exec}");
    for (code, count) in [("ERR", 3), ("WRONGTYPE", 1), ("EXECABORT", 1)] {
        let counted = client.info(&format!("errorstat_{code}:"));
        assert_eq!(counted, Some(format!("count={count}")), "{code}");
    }
    assert_eq!(client.info("total_error_replies:").as_deref(), Some("5"));
}

#[test]
fn the_commands_of_transactions_and_scripts_are_counted_each() {
    let mut client = Connection::open();
    for request in ["MULTI", "INCR a", "INCR a", "EXEC"] {
        client.send(request);
    }
    client.send_words(&["EVAL", "return redis.call('INCR', KEYS[1])", "1", "a"]);
    let incr = client.info("cmdstat_incr:").expect("it was counted");
    assert!(incr.starts_with("calls=3,"), "{incr}");
    // MULTI, EXEC, EVAL, three times INCR, and INFO twice.
    assert_eq!(
        client.info("total_commands_processed:").as_deref(),
        Some("8")
    );
}

#[test]
fn all_answers_that_wait_are_a_list_if_they_are_more_than_a_buffer() {
    let mut client = Connection::open();
    let mut listed = |unwritten, chunks, chunk_bytes| {
        client
            .session
            .client()
            .expect("it is connected")
            .show_buffers(Buffers {
                unwritten,
                chunks,
                chunk_bytes,
                ..Buffers::default()
            });
        let list = client.send("CLIENT LIST");
        let fields = list.split_ascii_whitespace();
        let names = ["obl=", "oll=", "omem="];
        let fields = fields.filter(|field| names.iter().any(|name| field.starts_with(name)));
        fields.map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed(16_384, 0, 0), "obl=16384 oll=0 omem=0");
    assert_eq!(listed(16_385, 0, 0), "obl=0 oll=1 omem=16385");
    assert_eq!(listed(20_000, 2, 130_000), "obl=0 oll=3 omem=150000");
    assert_eq!(listed(0, 1, 65_000), "obl=0 oll=1 omem=65000");
}

#[test]
fn a_wait_that_another_client_ends_with_an_error_is_a_failed_call() {
    let mut client = Connection::open();
    let mut other = Connection::to(&client.engine);
    let id = client.send("CLIENT ID");
    let id = id.trim().trim_start_matches(':');
    client.send("BLPOP list 0");
    let unblocked = other.send(&format!("CLIENT UNBLOCK {id} ERROR"));
    assert_eq!(unblocked.trim(), ":1");
    let counted = other.info("errorstat_UNBLOCKED:");
    assert_eq!(counted.as_deref(), Some("count=1"));
    let blpop = other.info("cmdstat_blpop:").expect("it was counted");
    assert!(blpop.ends_with(",failed_calls=1"), "{blpop}");
}

#[test]
fn an_error_that_a_script_passes_on_is_counted_once() {
    let mut client = Connection::open();
    client.send("SET a 1");
    for body in [
        "return redis.call('LPUSH', KEYS[1], 'x')",
        "return redis.pcall('LPUSH', KEYS[1], 'x')",
    ] {
        client.send_words(&["EVAL", body, "1", "a"]);
    }
    client.send_words(&["EVAL", "return redis.error_reply('MINE x')", "0"]);
    assert_eq!(
        client.info("errorstat_WRONGTYPE:").as_deref(),
        Some("count=2")
    );
    assert_eq!(client.info("errorstat_MINE:").as_deref(), Some("count=1"));
    assert_eq!(client.info("errorstat_ERR:"), None);
    let eval = client.info("cmdstat_eval:").expect("it was counted");
    assert!(eval.ends_with(",failed_calls=3"), "{eval}");
}

#[test]
fn errors_that_scripts_invent_without_end_take_no_memory_without_end() {
    let mut client = Connection::open();
    for code in 0..300 {
        let body = format!("return redis.error_reply('E{code} x')");
        client.send_words(&["EVAL", &body, "0"]);
    }
    let info = client.send("INFO errorstats");
    assert_eq!(info.matches("errorstat_").count(), 129);
    assert!(
        info.contains("errorstat_ERRORSTATS_OVERFLOW:count=172"),
        "{info}"
    );
}

/// Steady commands are timed now and then, and their times stand for the others.
#[test]
fn the_time_of_all_calls_is_about_what_they_took() {
    let mut client = Connection::open().slow_by_us(3);
    (0..64 + 32 * 100).for_each(|_| {
        client.send("GET a");
    });
    let get = client.info("cmdstat_get:").expect("it was counted");
    assert!(
        get.starts_with("calls=3264,usec=9792,usec_per_call=3.00,"),
        "{get}"
    );
    let times = client.info("latency_percentiles_usec_get:");
    assert_eq!(times.as_deref(), Some("p50=3.007,p99=3.007,p99.9=3.007"));
    let histogram = client.send("LATENCY HISTOGRAM get nosuch");
    let wanted = "*2\n$3\nget\n*4\n$5\ncalls\n:3264\n$14\nhistogram_usec\n*2\n:4\n:3264\n";
    assert_eq!(histogram, wanted);
}

#[test]
fn a_call_that_waits_is_counted_and_logged_when_that_is_over() {
    let engine = engine();
    let (mut one, mut other) = (Connection::to(&engine), Connection::to(&engine));
    let calls = |other: &mut Connection| {
        let blpop = other.info("cmdstat_blpop:")?;
        Some(blpop.split_once(',')?.0.to_owned())
    };
    other.send("CONFIG SET slowlog-log-slower-than 0");
    one.send("BLPOP queue 0");
    assert!(one.waiting.is_some());
    assert_eq!(calls(&mut other), None);
    other.send("SLOWLOG RESET");
    other.send("RPUSH queue a");
    assert_eq!(calls(&mut other).as_deref(), Some("calls=1"));
    let log = other.send("SLOWLOG GET");
    assert!(log.contains("$5\nBLPOP\n$5\nqueue\n$1\n0\n"), "{log}");

    // It is a call as well if nothing came.
    let id = one.send("CLIENT ID");
    let id = id.trim().trim_start_matches(':').to_owned();
    one.send("BLPOP queue 0");
    other.send(&format!("CLIENT UNBLOCK {id}"));
    assert_eq!(calls(&mut other).as_deref(), Some("calls=2"));
    one.send("BLPOP queue 1");
    engine.tick(&later_ms(2000));
    assert_eq!(calls(&mut other).as_deref(), Some("calls=3"));
}

#[test]
fn a_caller_that_is_served_comes_later_than_the_call_that_serves_it() {
    let engine = engine();
    let mut one = Connection::to(&engine);
    let mut other = Connection::to(&engine).slow_by_us(40_000);
    one.send("BLPOP queue 0");
    for request in ["MULTI", "RPUSH queue a", "PEXPIRE queue 50", "LLEN queue"] {
        other.send(request);
    }
    assert!(other.send("EXEC").ends_with(":1\n:1\n:1\n"));
    // The key has expired when it is the caller's turn.
    let waiting = one.waiting.as_mut().map(Pin::new);
    let mut context = Context::from_waker(Waker::noop());
    let answer = waiting.map(|waiting| waiting.poll(&mut context).is_ready());
    assert_eq!(answer, Some(false));
}

#[test]
fn who_asks_for_himself_is_shown_with_his_request_in_the_buffer() {
    let mut client = Connection::open();
    for request in ["CLIENT INFO", "CLIENT LIST"] {
        let line = client.send(request);
        assert!(line.contains(" qbuf=26 "), "{line}");
    }
}

#[test]
fn resetstat_begins_all_counters_anew() {
    let mut client = Connection::open();
    client.send("GET a");
    client.send("LPUSH");
    client.send("CONFIG RESETSTAT");
    for line in [
        "cmdstat_get:",
        "cmdstat_lpush:",
        "errorstat_ERR:",
        "latency_percentiles_usec_get:",
    ] {
        assert_eq!(client.info(line), None, "{line}");
    }
    assert_eq!(client.info("keyspace_misses:").as_deref(), Some("0"));
}

#[test]
fn percentiles_are_those_that_are_configured_and_none_are_kept_if_nobody_wants_them() {
    let mut client = Connection::open().slow_by_us(3);
    client.send_words(&[
        "CONFIG",
        "SET",
        "latency-tracking-info-percentiles",
        "0 100",
    ]);
    client.send("GET a");
    let times = client.info("latency_percentiles_usec_get:");
    assert_eq!(times.as_deref(), Some("p0=3.007,p100=3.007"));
    client.send("CONFIG RESETSTAT");
    client.send("CONFIG SET latency-tracking no");
    client.send("GET a");
    assert_eq!(client.info("latency_percentiles_usec_get:"), None);
}

/// With the string `k`, the list `l`, the sets `s` and `t`; `n` is not there. The numbers are those
/// of redis-server 7.0.15.
#[test]
fn lookups_are_hits_and_misses_where_redis_counts_them() {
    let mut client = Connection::open();
    for (request, hits, misses) in [
        ("GET k", 1, 0),
        ("GET n", 0, 1),
        ("MGET k n", 1, 1),
        ("GETEX k EX 100", 1, 0),
        ("GETDEL k", 1, 0),
        ("GETSET k v", 1, 0),
        ("SET k v", 0, 0),
        ("SET k v GET", 1, 0),
        ("SETNX n v", 0, 0),
        ("APPEND k x", 0, 0),
        ("INCR n", 0, 0),
        ("EXISTS k n k", 2, 1),
        ("TTL k", 1, 0),
        ("TYPE n", 0, 1),
        ("OBJECT ENCODING k", 1, 0),
        ("OBJECT IDLETIME n", 0, 1),
        ("TOUCH k n", 1, 1),
        ("COPY k k2", 1, 0),
        ("RENAME k k2", 0, 0),
        ("EXPIRE k 10", 0, 0),
        ("DEL k", 0, 0),
        ("SORT l ALPHA", 1, 0),
        ("SORT l ALPHA STORE d", 1, 0),
        ("LLEN l", 1, 0),
        ("LPUSHX n a", 0, 0),
        ("LMOVE l d LEFT LEFT", 0, 0),
        ("SMOVE s t a", 0, 0),
        ("SINTERSTORE d s t n", 2, 1),
        ("SUNION s n", 1, 1),
        ("ZUNIONSTORE d 2 s n", 1, 1),
        ("XADD n * a b", 0, 0),
    ] {
        for setup in [
            "FLUSHALL",
            "SET k v",
            "RPUSH l b a",
            "SADD s a b",
            "SADD t a",
        ] {
            client.send(setup);
        }
        client.send("CONFIG RESETSTAT");
        client.send(request);
        let counted = ["keyspace_hits:", "keyspace_misses:"].map(|line| client.info(line));
        let wanted = [hits, misses].map(|count: u64| Some(count.to_string()));
        assert_eq!(counted, wanted, "{request}");
    }
}

#[test]
fn info_counts_who_listens_watches_and_waits() {
    let mut client = Connection::open();
    let [mut listener, mut watcher, mut waiter] = [(); 3].map(|()| Connection::to(&client.engine));
    listener.send("SUBSCRIBE news");
    watcher.send("WATCH a b");
    waiter.send("BLPOP x y 0");
    let mut group_waiter = Connection::to(&client.engine);
    group_waiter.send("XGROUP CREATE s g $ MKSTREAM");
    group_waiter.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    for (line, wanted) in [
        ("pubsub_clients:", "1"),
        ("watching_clients:", "1"),
        ("total_watched_keys:", "2"),
        ("total_blocking_keys:", "3"),
        ("total_blocking_keys_on_nokey:", "1"),
    ] {
        assert_eq!(client.info(line).as_deref(), Some(wanted), "{line}");
    }

    drop((waiter.waiting.take(), group_waiter.waiting.take()));
    watcher.send("UNWATCH");
    assert_eq!(client.info("total_blocking_keys:").as_deref(), Some("0"));
    assert_eq!(client.info("watching_clients:").as_deref(), Some("0"));
}

#[test]
fn info_says_what_a_pause_keeps_waiting_and_for_how_long() {
    let mut client = Connection::open();
    assert_eq!(client.info("paused_reason:").as_deref(), Some("none"));
    client.send("CLIENT PAUSE 5000 WRITE");
    client.clock.us.set(1_000_000);
    for (line, wanted) in [
        ("paused_reason:", "client_pause"),
        ("paused_actions:", "write"),
        ("paused_timeout_milliseconds:", "4000"),
    ] {
        assert_eq!(client.info(line).as_deref(), Some(wanted), "{line}");
    }
    client.clock.us.set(6_000_000);
    assert_eq!(client.info("paused_actions:").as_deref(), Some("none"));
    let left = client.info("paused_timeout_milliseconds:");
    assert_eq!(left.as_deref(), Some("0"));
}

#[test]
fn scripts_that_are_forgotten_since_there_are_too_many_are_counted() {
    let mut client = Connection::open();
    for number in 0..503 {
        client.send(&format!("EVAL --{number} 0"));
    }
    assert_eq!(client.info("evicted_scripts:").as_deref(), Some("3"));
    client.send("SCRIPT FLUSH");
    assert_eq!(client.info("evicted_scripts:").as_deref(), Some("3"));
    client.send("CONFIG RESETSTAT");
    assert_eq!(client.info("evicted_scripts:").as_deref(), Some("0"));
}

#[test]
fn info_shows_the_sections_that_are_asked_for() {
    let mut client = Connection::open();
    let titles = |info: &str| {
        let lines = info.lines().filter_map(|line| line.strip_prefix("# "));
        lines.collect::<Vec<_>>().join(" ")
    };
    let default = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats \
                   Cluster Keyspace";
    assert_eq!(titles(&client.send("INFO")), default);
    assert_eq!(titles(&client.send("INFO default")), default);
    let all = client.send("INFO all");
    assert!(
        titles(&all).contains("Commandstats Errorstats Latencystats"),
        "{all}"
    );
    assert_eq!(
        titles(&client.send("INFO commandstats CLIENTS")),
        "Clients Commandstats"
    );
}

// --- the slow log -----------------------------------------------------------------------------

#[test]
fn a_slow_command_is_logged_with_what_fits_of_its_words() {
    let mut client = Connection::open().slow_by_us(20_000);
    client.send("CLIENT SETNAME ann");
    client.send("SLOWLOG RESET");
    let long = vec![b'x'; 130];
    let mut request: Vec<&[u8]> = vec![b"SADD", b"set", &long];
    request.extend(std::iter::repeat_n(&b"m"[..], 37));
    client.send_words(&request);
    let log = client.send("SLOWLOG GET 1");
    assert!(
        log.starts_with("*1\n*6\n:2\n:1700000000\n:20000\n*32\n$4\nSADD\n$3\nset\n"),
        "{log}"
    );
    let cut = format!("{}... (2 more bytes)", "x".repeat(128));
    assert!(log.contains(&cut), "{log}");
    assert!(log.contains("... (9 more arguments)"), "{log}");
    assert!(log.ends_with("$14\n127.0.0.1:5000\n$3\nann\n"), "{log}");
}

#[test]
fn the_slow_log_keeps_so_many_and_nothing_below_its_threshold() {
    let mut client = Connection::open().slow_by_us(500);
    client.send("CONFIG SET slowlog-max-len 2");
    client.send("GET a");
    assert_eq!(client.send("SLOWLOG LEN"), ":0\n");
    client.send("CONFIG SET slowlog-log-slower-than 500");
    for key in ["a", "b", "c"] {
        client.send(&format!("GET {key}"));
    }
    client.send("CONFIG SET slowlog-log-slower-than -1");
    client.send("GET d");
    let log = client.send("SLOWLOG GET -1");
    for (key, is_kept) in [("a", false), ("b", true), ("c", true), ("d", false)] {
        assert_eq!(log.contains(&format!("$1\n{key}\n")), is_kept, "{log}");
    }
}

#[test]
fn with_a_threshold_of_nothing_each_command_is_logged() {
    let mut client = Connection::open();
    (0..200).for_each(|_| {
        client.send("GET a");
    });
    client.send("CONFIG SET slowlog-log-slower-than 0");
    client.send("SLOWLOG RESET");
    (0..50).for_each(|_| {
        client.send("GET a");
    });
    assert_eq!(client.send("SLOWLOG LEN"), ":51\n");
}

#[test]
fn secrets_are_in_neither_the_slow_log_nor_a_monitor() {
    let engine = engine();
    let (mut client, mut monitor) = (Connection::to(&engine), Connection::to(&engine));
    monitor.send("MONITOR");
    client.send("CONFIG SET slowlog-log-slower-than 0");
    client.send("AUTH secret");
    client.send("HELLO 2 AUTH default secret");
    client.send("CONFIG SET requirepass secret");
    assert!(!client.send("SLOWLOG GET -1").contains("secret"));
    let lines = monitor.lines();
    let wanted = [
        r#"[0 127.0.0.1:5000] "AUTH" "(redacted)""#,
        r#"[0 127.0.0.1:5000] "HELLO" "2" "AUTH" "(redacted)" "(redacted)""#,
    ];
    assert_eq!(lines, wanted);
}

// --- latency ----------------------------------------------------------------------------------

#[test]
fn what_takes_long_is_noted_while_somebody_wants_to_know() {
    let mut client = Connection::open().slow_by_us(30_000);
    client.send("KEYS *");
    assert_eq!(client.send("LATENCY LATEST"), "*0\n");
    client.send("CONFIG SET latency-monitor-threshold 30");
    client.send("LATENCY RESET");
    client.send("KEYS *");
    client.send("GET a");
    let latest = client.send("LATENCY LATEST");
    assert!(
        latest.starts_with("*2\n*4\n$7\ncommand\n:1700000000\n:30\n:30\n"),
        "{latest}"
    );
    let history = client.send("LATENCY HISTORY fast-command");
    assert_eq!(history, "*1\n*2\n:1700000000\n:30\n");
    assert_eq!(client.send("LATENCY RESET fast-command nosuch"), ":1\n");
}

// --- monitors ---------------------------------------------------------------------------------

#[test]
fn a_monitor_sees_each_command_as_redis_shows_it() {
    let engine = engine();
    let (mut client, mut other) = (Connection::to(&engine), Connection::to(&engine));
    let mut monitor = Connection::to(&engine);
    client.send("GET before");
    assert_eq!(monitor.send("MONITOR"), "+OK\n");
    client.send("SELECT 3");
    client.send("nosuch");
    client.send("CONFIG GET port");
    client.send_words(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "k"]);
    for request in ["MULTI", "INCR a", "EXEC", "BLPOP q 0"] {
        client.send(request);
    }
    other.send("SELECT 3");
    other.send_words(&[&b"RPUSH"[..], b"q", b"a \"b\"\n\xff"]);
    let wanted = [
        r#"[3 127.0.0.1:5000] "SELECT" "3""#,
        r#"[3 127.0.0.1:5000] "EVAL" "return redis.call('GET', KEYS[1])" "1" "k""#,
        r#"[3 lua] "GET" "k""#,
        r#"[3 127.0.0.1:5000] "MULTI""#,
        r#"[3 127.0.0.1:5000] "INCR" "a""#,
        r#"[3 127.0.0.1:5000] "EXEC""#,
        r#"[3 127.0.0.1:5000] "BLPOP" "q" "0""#,
        r#"[3 127.0.0.1:5000] "SELECT" "3""#,
        r#"[3 127.0.0.1:5000] "RPUSH" "q" "a \"b\"\n\xff""#,
    ];
    assert_eq!(monitor.lines(), wanted);
}

#[test]
fn a_monitor_that_does_not_read_is_cut_off_and_one_that_ends_sees_no_more() {
    let engine = engine();
    let (mut client, mut monitor) = (Connection::to(&engine), Connection::to(&engine));
    monitor.send("MONITOR");
    let flags = client.send("CLIENT LIST ID 2");
    assert!(flags.contains(" flags=O "), "{flags}");
    (0..2000).for_each(|_| {
        client.send("ECHO a-word-that-takes-some-room");
    });
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(monitor.mailbox.poll(&mut context), Poll::Ready(None));

    let mut reader = Connection::to(&engine);
    reader.send("MONITOR");
    reader.send("RESET");
    client.send("PING");
    let seen = reader.lines();
    assert!(!seen.iter().any(|line| line.contains("PING")), "{seen:?}");
}

// --- clients ----------------------------------------------------------------------------------

#[test]
fn the_list_of_clients_shows_the_database_and_the_last_request_at_once() {
    let engine = engine();
    let (mut one, mut other) = (Connection::to(&engine), Connection::to(&engine));
    let mut line = |request: &str| {
        other.send(request);
        one.send("CLIENT LIST ID 2")
    };
    let select = line("SELECT 3");
    assert!(
        select.contains(" db=3 ") && select.contains(" cmd=select "),
        "{select}"
    );
    let refused = line("LPUSH");
    assert!(refused.contains(" cmd=lpush "), "{refused}");
    let unknown = line("nosuch");
    assert!(unknown.contains(" cmd=NULL "), "{unknown}");
}

#[test]
fn the_list_of_clients_shows_a_transaction_that_is_void() {
    let engine = engine();
    let (mut one, mut other) = (Connection::to(&engine), Connection::to(&engine));
    other.send("WATCH a");
    other.send("MULTI");
    other.send("GET a");
    one.send("SET a 1");
    let line = one.send("CLIENT LIST ID 2");
    assert!(
        line.contains(" flags=xd ") && line.contains(" cmd=get "),
        "{line}"
    );
    other.send("EXEC");
    let line = one.send("CLIENT LIST ID 2");
    assert!(line.contains(" flags=N "), "{line}");
}

#[test]
fn each_command_that_changes_something_is_counted_once() {
    let mut client = Connection::open();
    for request in ["MULTI", "SET {t}c 1", "APPEND {t}c 2"] {
        client.send(request);
    }
    let mut wanted = 0;
    for (request, changes) in [
        ("EXEC", 2),
        ("MSET {t}a 1 {t}b 2", 1),
        ("GET {t}a", 0),
        ("SETBIT {t}bits 0 0", 1),
        ("SETBIT {t}bits 0 0", 0),
        ("SETBIT {t}bits 0 1", 1),
        ("RPUSH {t}list 1 2", 1),
        ("LMOVE {t}list {t}other LEFT LEFT", 1),
        ("INCR {t}a", 1),
        ("DEL {t}nothing", 0),
        ("PEXPIRE {t}b 100", 1),
        ("XADD {t}s 1-0 f v", 1),
        ("XGROUP CREATE {t}s g 0", 1),
        ("XREADGROUP GROUP g c STREAMS {t}s >", 1),
        ("XREADGROUP GROUP g c STREAMS {t}s 0", 0),
        ("XREADGROUP GROUP g new STREAMS {t}s 0", 1),
        (
            "EVAL redis.call('SET',KEYS[1],1)redis.call('DEL',KEYS[1]) 1 {t}a",
            2,
        ),
        ("FLUSHALL", 1),
    ] {
        client.send(request);
        wanted += changes;
        let counted = client.figure("rdb_changes_since_last_save");
        assert_eq!(counted, wanted, "{request}");
    }
}

#[test]
fn what_expires_is_no_change_that_a_command_made() {
    let mut client = Connection::open();
    client.send("SET k 1 PX 1");
    client.clock.us.set(2000);
    client.send("GET k");
    assert_eq!(client.figure("expired_keys"), 1);
    assert_eq!(client.figure("rdb_changes_since_last_save"), 1);
}

#[test]
fn info_says_what_connections_hold_now_and_not_at_the_last_tick() {
    let mut client = Connection::open();
    let before = client.figure("used_memory");
    client
        .session
        .client()
        .expect("it is connected")
        .show_buffers(Buffers {
            input_capacity: 100_000,
            ..Buffers::default()
        });
    assert_eq!(client.figure("used_memory"), before + 100_000);
}
