//! What a server answers that stands alone: without replicas, a cluster, modules and a disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_engine::{Engine, Host};

use crate::support::{Connection, START, engine, later_ms, poll};

const NOT_SAVED: &str = "-ERR nothing is saved: this store keeps nothing on disk";
const NOT_REPLICATED: &str = "-ERR Larder does not replicate: it has no replicas, and is none";

// --- waits for replicas -----------------------------------------------------------------------

#[test]
fn a_wait_for_replicas_ends_with_its_time_and_with_no_change() {
    let engine = engine();
    let (mut client, mut other) = (Connection::to(&engine), Connection::to(&engine));
    let mut waiting = client.wait("WAIT 1 500");
    other.call("SET a 1");
    other.call("FLUSHALL");
    engine.tick(&later_ms(499));
    assert_eq!(poll(&mut waiting), None);
    engine.tick(&later_ms(500));
    assert_eq!(poll(&mut waiting).as_deref(), Some(":0"));

    let mut waiting = client.wait("WAITAOF 0 1 500");
    engine.tick(&later_ms(500));
    assert_eq!(poll(&mut waiting).as_deref(), Some("*2 :0 :0"));
}

#[test]
fn a_wait_for_replicas_for_ever_is_ended_by_client_unblock() {
    let engine = engine();
    let (mut client, mut other) = (Connection::to(&engine), Connection::to(&engine));
    for (request, nothing) in [("WAIT 1 0", ":0"), ("WAITAOF 0 1 0", "*2 :0 :0")] {
        let unblock = format!("CLIENT UNBLOCK {}", client.id());
        let mut waiting = client.wait(request);
        engine.tick(&later_ms(1_000_000_000));
        assert_eq!(poll(&mut waiting), None);
        assert_eq!(other.figure("blocked_clients"), 1);
        assert_eq!(other.call(&unblock), ":1");
        assert_eq!(poll(&mut waiting).as_deref(), Some(nothing), "{request}");

        let mut waiting = client.wait(request);
        assert_eq!(other.call(&format!("{unblock} ERROR")), ":1");
        assert_eq!(
            poll(&mut waiting).as_deref(),
            Some("-UNBLOCKED client unblocked via CLIENT UNBLOCK")
        );
        assert_eq!(other.call(&unblock), ":0");
    }
}

#[test]
fn a_wait_for_replicas_ends_with_its_connection_and_with_the_store() {
    let engine = engine();
    let (mut client, mut other) = (Connection::to(&engine), Connection::to(&engine));
    drop(client.wait("WAIT 1 5000"));
    assert_eq!(other.figure("blocked_clients"), 0);
    assert_eq!(other.figure("clients_in_timeout_table"), 0);

    let mut waiting = client.wait("WAIT 1 0");
    other.call(&format!("CLIENT KILL ID {}", client.id()));
    assert!(poll(&mut waiting).is_some());
    assert!(
        client
            .session
            .client()
            .is_some_and(|client| client.is_killed())
    );

    let mut waiting = Connection::to(&engine).wait("WAITAOF 0 1 0");
    engine.end_all_waits();
    assert!(poll(&mut waiting).is_some());
}

#[test]
fn a_silent_wait_for_replicas_waits_and_is_not_answered() {
    let engine = engine();
    let mut client = Connection::to(&engine);
    client.call("CLIENT REPLY SKIP");
    let mut waiting = client.wait("WAIT 1 500");
    engine.tick(&later_ms(500));
    assert_eq!(poll(&mut waiting).as_deref(), Some(""));
    assert_eq!(client.call("PING"), "+PONG");
}

// --- what would replicate ---------------------------------------------------------------------

#[test]
fn nobody_becomes_a_replica_and_is_told_so_at_once() {
    let mut client = Connection::to(&engine());
    for request in [
        "REPLICAOF 127.0.0.1 6379",
        "REPLICAOF no 1",
        "SLAVEOF localhost 0",
        "REPLCONF",
        "REPLCONF listening-port 6380",
        "REPLCONF capa eof capa psync2",
        // A server that replicates answers nothing to these.
        "REPLCONF ACK 1",
        "REPLCONF GETACK *",
    ] {
        assert_eq!(client.call(request), NOT_REPLICATED, "{request}");
    }
    assert_eq!(client.call("ROLE"), "*3 $6 master :0 *0");
}

/// A Redis that was told to follow this server once asked for the data thousands of times a second.
#[test]
fn who_asks_for_the_data_is_told_to_ask_again_later() {
    let mut client = Connection::to(&engine());
    for request in ["SYNC", "PSYNC ? -1"] {
        let answer = client.call(request);
        assert!(answer.starts_with("-NOMASTERLINK "), "{request}: {answer}");
    }
}

/// A random program found the refusals in another order than Redis's.
#[test]
fn a_subscriber_is_told_first_that_nobody_may_load_modules() {
    let mut client = Connection::to(&engine());
    client.call("SUBSCRIBE channel");
    for (request, refusal) in [
        ("MODULE UNLOAD x", "-ERR MODULE command not allowed."),
        ("DEBUG SLEEP 0", "-ERR DEBUG command not allowed."),
        ("MODULE LIST", "-ERR Can't execute 'module|list':"),
    ] {
        let answer = client.call(request);
        assert!(answer.starts_with(refusal), "{request}: {answer}");
    }
}

// --- saving -----------------------------------------------------------------------------------

/// An `OK` would say that the data is safe.
#[test]
fn whoever_wants_the_data_on_disk_is_told_that_it_is_not() {
    let mut client = Connection::to(&engine());
    for request in ["SAVE", "BGSAVE", "BGSAVE SCHEDULE"] {
        assert_eq!(client.call(request), NOT_SAVED, "{request}");
    }
    client.expect(
        "BGREWRITEAOF",
        "-ERR nothing is rewritten: there is no append-only file (appendonly no)",
    );
    client.call("MULTI");
    client.call("BGSAVE");
    assert_eq!(client.call("EXEC"), format!("*1 {NOT_SAVED}"));
}

#[test]
fn the_last_save_was_at_the_start() {
    let engine = engine();
    let mut client = Connection::to(&engine);
    client.call("SET a 1");
    client.at(later_ms(100_000));
    engine.tick(&client.clock);
    assert_eq!(client.call("LASTSAVE"), ":1700000000");
    assert_eq!(client.figure("rdb_last_save_time"), 1_700_000_000);
}

// --- the end ----------------------------------------------------------------------------------

/// An engine that counts how often it was asked to end.
fn engine_that_ends() -> (Arc<Engine>, Arc<AtomicUsize>) {
    let (engine, asked) = (engine(), Arc::new(AtomicUsize::new(0)));
    let ending = Arc::clone(&asked);
    engine.on_shutdown(Box::new(move || {
        ending.fetch_add(1, Ordering::Relaxed);
    }));
    (engine, asked)
}

#[test]
fn a_store_inside_of_an_application_does_not_end_it() {
    let mut client = Connection::to(&engine());
    for request in ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN SAVE NOW FORCE"] {
        assert_eq!(
            client.call(request),
            "-ERR the store is part of a process that does not end by SHUTDOWN",
            "{request}"
        );
    }
    assert_eq!(client.call("SHUTDOWN x"), "-ERR syntax error");
    assert_eq!(
        client.call("SHUTDOWN ABORT"),
        "-ERR No shutdown in progress."
    );
}

#[test]
fn shutdown_asks_for_the_end_and_is_answered_by_nobody() {
    let (engine, asked) = engine_that_ends();
    let mut other = Connection::to(&engine);
    let forms = [
        "SHUTDOWN",
        "shutdown nosave",
        "SHUTDOWN NOW NOSAVE FORCE",
        "SHUTDOWN SAVE FORCE",
        "SHUTDOWN SAVE SAVE FORCE FORCE",
    ];
    for (place, request) in forms.into_iter().enumerate() {
        let mut client = Connection::to(&engine);
        let mut waiting = client.wait(request);
        assert_eq!(asked.load(Ordering::Relaxed), place + 1, "{request}");
        let unblock = format!("CLIENT UNBLOCK {} ERROR", client.id());
        assert_eq!(other.call(&unblock), ":0");
        engine.tick(&later_ms(1_000_000_000));
        assert_eq!(poll(&mut waiting), None);
    }
    assert_eq!(
        other.call("SHUTDOWN ABORT"),
        "-ERR No shutdown in progress."
    );
}

#[test]
fn a_shutdown_that_is_refused_asks_for_no_end() {
    let (engine, asked) = engine_that_ends();
    let mut client = Connection::to(&engine);
    assert_eq!(client.call("SHUTDOWN SAVE"), NOT_SAVED);
    assert_eq!(client.call("SHUTDOWN SAVE NOW"), NOT_SAVED);
    for request in ["SHUTDOWN NOSAVE SAVE", "SHUTDOWN NOW ABORT", "SHUTDOWN x"] {
        assert_eq!(client.call(request), "-ERR syntax error", "{request}");
    }
    client.call("SHUTDOWN ABORT");
    client.call("EVAL return(redis.pcall('SHUTDOWN')) 0");
    client.call("MULTI");
    client.call("SHUTDOWN");
    client.call("EXEC");
    client.call("ACL SETUSER ann on nopass +@all -@admin");
    client.call("AUTH ann x");
    assert_eq!(
        client.call("SHUTDOWN"),
        "-NOPERM User ann has no permissions to run the 'shutdown' command"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
fn shutdown_waits_for_the_end_of_a_pause_of_all() {
    let (engine, asked) = engine_that_ends();
    let mut client = Connection::to(&engine);
    Connection::to(&engine).call("CLIENT PAUSE 1000 WRITE");
    let waiting = client.wait("SHUTDOWN");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    drop(waiting);

    Connection::to(&engine).call("CLIENT PAUSE 1000 ALL");
    assert_eq!(client.send("SHUTDOWN"), "(parked)");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    client.at(later_ms(1000));
    engine.tick(&client.clock);
    let _waiting = client.wait("SHUTDOWN");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

// --- memory -----------------------------------------------------------------------------------

/// The pairs of MEMORY STATS, over RESP3.
fn memory(client: &mut Connection) -> Vec<(String, f64)> {
    let stats = client.call("MEMORY STATS");
    let words: Vec<&str> = stats.split(' ').skip(1).collect();
    let number = |word: &str| word[1..].parse().unwrap_or_else(|_| panic!("{stats}"));
    let pairs = words.chunks(3);
    pairs
        .map(|pair| (pair[1].to_owned(), number(pair[2])))
        .collect()
}

#[test]
fn the_figures_of_memory_are_parts_of_a_sum() {
    let engine = engine();
    let mut client = Connection::to(&engine);
    client.call("HELLO 3");
    for number in 0..100 {
        client.call(&format!("SET key:{number} {}", "x".repeat(100)));
    }
    client.call("SCRIPT LOAD return(1)");
    engine.tick(&START);
    let pairs = memory(&mut client);
    let of = |name: &str| {
        let found = pairs.iter().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("no {name}")).1 as u64
    };
    assert_eq!(
        of("dataset.bytes") + of("overhead.total"),
        of("total.allocated")
    );
    assert!(of("overhead.total") >= of("clients.normal") + of("lua.caches"));
    assert_eq!(of("keys.count"), 100);
    assert_eq!(of("keys.bytes-per-key"), of("dataset.bytes") / 100);
    assert!((100..300).contains(&of("keys.bytes-per-key")));
    assert_eq!(of("dataset.bytes"), client.figure("used_memory_dataset"));
    assert!(of("peak.allocated") >= of("total.allocated"));
    // Nobody has said how much the process takes.
    assert!(pairs.iter().all(|(name, _)| name != "fragmentation"));
}

#[test]
fn an_empty_store_divides_nothing_by_nothing() {
    // A call from inside the process: no connection takes memory either.
    let mut client = Connection::local(&engine());
    let pairs = memory(&mut client);
    assert!(pairs.contains(&("total.allocated".to_owned(), 0.0)));
    assert!(pairs.iter().all(|(_, number)| number.is_finite()));
}

#[test]
fn who_asks_for_it_has_the_host_give_memory_back() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let engine = engine();
    let mut client = Connection::to(&engine);
    assert_eq!(client.call("MEMORY PURGE"), "+OK", "no host can");
    engine.set_host(Host {
        purge: Some(|| _ = ASKED.fetch_add(1, Ordering::Relaxed)),
        ..Host::default()
    });
    assert_eq!(client.call("MEMORY PURGE"), "+OK");
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

#[test]
fn the_doctor_tells_what_is_unusual() {
    let engine = engine();
    let mut client = Connection::to(&engine);
    assert!(client.call("MEMORY DOCTOR").contains("too little to say"));
    for number in 0..20 {
        client.call(&format!("SETRANGE key:{number} 1000000 x"));
    }
    assert!(client.call("MEMORY DOCTOR").contains("Nothing is unusual"));
    engine.set_host(Host {
        resident_bytes: Some(|| Some(100 << 20)),
        ..Host::default()
    });
    client.call("DEL key:18 key:19");
    let found = client.call("MEMORY DOCTOR");
    assert!(found.contains("The process takes more"), "{found}");
    assert!(!found.contains("It has held more"), "{found}");
    for number in 0..10 {
        client.call(&format!("DEL key:{number}"));
    }
    let found = client.call("MEMORY DOCTOR");
    assert!(found.contains("It has held more"), "{found}");
    client.call("HELLO 3");
    let stats = memory(&mut client);
    let of = |name: &str| {
        let found = stats.iter().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("no {name}")).1
    };
    let beyond = f64::from(100 << 20) - of("total.allocated");
    assert_eq!(of("fragmentation.bytes"), beyond);
    assert_eq!(of("allocator-fragmentation.bytes"), beyond);
    assert_eq!(of("allocator.allocated"), of("total.allocated"));
    assert_eq!(of("allocator.resident"), f64::from(100 << 20));
    assert_eq!(of("fragmentation"), of("allocator-fragmentation.ratio"));
    assert_eq!(
        (of("allocator-rss.ratio"), of("rss-overhead.bytes")),
        (1.0, 0.0)
    );
}

// --- scripts ----------------------------------------------------------------------------------

#[test]
fn there_is_no_debugger() {
    let mut client = Connection::to(&engine());
    for request in ["SCRIPT DEBUG YES", "SCRIPT DEBUG sync"] {
        assert_eq!(
            client.call(request),
            "-ERR Larder has no debugger for scripts",
            "{request}"
        );
    }
    assert_eq!(client.call("EVAL return(1) 0"), ":1");
}
