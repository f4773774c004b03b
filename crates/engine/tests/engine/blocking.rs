//! Callers that wait: who is served, in which order, and what ends a wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use larder_engine::{Ticks, Waiting};

use crate::support::{Connection, START, engine, later_ms, poll, poll_with};

/// Waits on this thread until the answer has come.
fn block_on(mut waiting: Waiting) -> String {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Some(answer) = poll_with(&mut waiting, &waker) {
            return answer;
        }
        thread::park_timeout(Duration::from_secs(10));
    }
}

// --- who is served ----------------------------------------------------------------------------

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let engine = engine();
    let mut waits: Vec<Waiting> = (0..3)
        .map(|_| Connection::to(&engine).wait("BLPOP queue 0"))
        .collect();
    let mut pusher = Connection::to(&engine);
    pusher.expect("RPUSH queue a b", ":2");
    assert_eq!(poll(&mut waits[0]).as_deref(), Some("*2 $5 queue $1 a"));
    assert_eq!(poll(&mut waits[1]).as_deref(), Some("*2 $5 queue $1 b"));
    assert_eq!(poll(&mut waits[2]), None);
    pusher.expect("EXISTS queue", ":0");
    pusher.expect("RPUSH queue c d", ":2");
    assert_eq!(poll(&mut waits[2]).as_deref(), Some("*2 $5 queue $1 c"));
    pusher.expect("LRANGE queue 0 -1", "*1 $1 d");
}

/// A newcomer on another thread once came between a push and the waiter that it was for.
#[test]
fn what_is_pushed_while_somebody_waits_is_the_waiters_and_no_newcomers() {
    let engine = engine();
    let is_over = Arc::new(AtomicBool::new(false));
    let newcomer = {
        let (mut newcomer, is_over) = (Connection::to(&engine), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                newcomer.expect("LPOP queue", "$-1");
            }
        })
    };
    let (mut waiter, mut pusher) = (Connection::to(&engine), Connection::to(&engine));
    for _ in 0..3000 {
        let mut waiting = waiter.wait("BLPOP queue 0");
        pusher.expect("RPUSH queue x", ":1");
        assert_eq!(poll(&mut waiting).as_deref(), Some("*2 $5 queue $1 x"));
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(newcomer.join().is_ok(), "the newcomer got an element");
}

/// Each entry once had all who wait run their requests anew, for each of those that were served.
#[test]
fn many_consumers_are_served_by_many_entries_in_one_pass() {
    let engine = engine();
    let mut writer = Connection::to(&engine);
    writer.expect("XGROUP CREATE stream group $ MKSTREAM", "+OK");
    let mut waits: Vec<Waiting> = (0..3000)
        .map(|consumer| {
            let read =
                format!("XREADGROUP GROUP group {consumer} COUNT 1 BLOCK 0 STREAMS stream >");
            Connection::to(&engine).wait(&read)
        })
        .collect();
    writer.expect(
        "EVAL for\ti=1,1500\tdo\tredis.call('XADD',KEYS[1],'*','n',i)end\treturn(1) 1 stream",
        ":1",
    );
    let served = waits.iter_mut().filter_map(poll).count();
    assert_eq!(served, 1500);
}

#[test]
fn a_waiter_on_several_keys_gets_one_element() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BRPOP one two one 0");
    let mut pusher = Connection::to(&engine);
    pusher.expect("RPUSH two a b", ":2");
    pusher.expect("RPUSH one c", ":1");
    assert_eq!(poll(&mut waiting).as_deref(), Some("*2 $3 two $1 b"));
    pusher.expect("LLEN one", ":1");
    pusher.expect("LLEN two", ":1");
}

#[test]
fn an_element_moves_down_a_chain_of_waiters() {
    let engine = engine();
    let mut first = Connection::to(&engine).wait("BLMOVE a b LEFT RIGHT 0");
    let mut second = Connection::to(&engine).wait("BRPOPLPUSH b c 0");
    let mut third = Connection::to(&engine).wait("BLPOP c 0");
    Connection::to(&engine).expect("RPUSH a x", ":1");
    assert_eq!(poll(&mut first).as_deref(), Some("$1 x"));
    assert_eq!(poll(&mut second).as_deref(), Some("$1 x"));
    assert_eq!(poll(&mut third).as_deref(), Some("*2 $1 c $1 x"));
    Connection::to(&engine).expect("EXISTS a b c", ":0");
}

#[test]
fn two_waiters_who_feed_each_other_stop_when_the_element_is_taken() {
    let engine = engine();
    let mut first = Connection::to(&engine).wait("BLMOVE a b LEFT LEFT 0");
    let mut second = Connection::to(&engine).wait("BLMOVE b a LEFT LEFT 0");
    Connection::to(&engine).expect("RPUSH a x", ":1");
    assert_eq!(poll(&mut first).as_deref(), Some("$1 x"));
    assert_eq!(poll(&mut second).as_deref(), Some("$1 x"));
    Connection::to(&engine).expect("LRANGE a 0 -1", "*1 $1 x");
}

#[test]
fn a_value_of_another_kind_wakes_nobody() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP key 0");
    let mut writer = Connection::to(&engine);
    writer.expect("SET key text", "+OK");
    assert_eq!(poll(&mut waiting), None);
    writer.expect("DEL key", ":1");
    writer.expect("LPUSH key x", ":1");
    assert_eq!(poll(&mut waiting).as_deref(), Some("*2 $3 key $1 x"));
}

#[test]
fn a_move_to_a_key_of_another_kind_is_refused_and_keeps_the_element() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLMOVE from to LEFT LEFT 0");
    let mut writer = Connection::to(&engine);
    writer.expect("SET to text", "+OK");
    writer.expect("RPUSH from x", ":1");
    let error = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(poll(&mut waiting).as_deref(), Some(error));
    writer.expect("LRANGE from 0 -1", "*1 $1 x");
}

#[test]
fn a_list_that_a_transaction_pushed_and_removed_again_serves_nobody() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLPOP key 0");
    let mut writer = Connection::to(&engine);
    writer.expect("MULTI", "+OK");
    writer.expect("RPUSH key x", "+QUEUED");
    writer.expect("DEL key", "+QUEUED");
    writer.expect("EXEC", "*2 :1 :1");
    assert_eq!(poll(&mut waiting), None);
    writer.expect("MULTI", "+OK");
    writer.expect("RPUSH key x", "+QUEUED");
    writer.expect("LPUSH key y", "+QUEUED");
    writer.expect("EXEC", "*2 :1 :2");
    assert_eq!(poll(&mut waiting).as_deref(), Some("*2 $3 key $1 y"));
}

#[test]
fn a_list_that_comes_by_another_name_serves_the_waiter() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BLMPOP 0 1 new LEFT COUNT 2");
    let mut writer = Connection::to(&engine);
    writer.expect("RPUSH old a b c", ":3");
    writer.expect("RENAME old new", "+OK");
    assert_eq!(
        poll(&mut waiting).as_deref(),
        Some("*2 $3 new *2 $1 a $1 b")
    );
}

// --- what ends a wait -------------------------------------------------------------------------

#[test]
fn a_wait_ends_when_its_time_has_passed() {
    let engine = engine();
    let mut pop = Connection::to(&engine).wait("BLPOP key 1.5");
    let mut moved = Connection::to(&engine).wait("BLMOVE key other LEFT LEFT 1.5");
    let mut read = Connection::to(&engine).wait("XREAD BLOCK 1500 STREAMS key $");
    assert_eq!(
        engine.next_deadline().map(Ticks::us),
        Some(START.unix_us() + 1_500_000)
    );
    engine.tick(&later_ms(1000));
    assert_eq!(poll(&mut pop), None);
    engine.tick(&later_ms(2000));
    assert_eq!(poll(&mut pop).as_deref(), Some("*-1"));
    assert_eq!(poll(&mut moved).as_deref(), Some("*-1"));
    assert_eq!(poll(&mut read).as_deref(), Some("*-1"));
    Connection::to(&engine).expect("RPUSH key x", ":1");
    Connection::to(&engine).expect("LLEN key", ":1");
}

#[test]
fn a_wait_that_is_dropped_takes_nothing() {
    let engine = engine();
    let gone = Connection::to(&engine).wait("BLPOP key 0");
    let mut stays = Connection::to(&engine).wait("BLPOP key 0");
    drop(gone);
    Connection::to(&engine).expect("RPUSH key x", ":1");
    assert_eq!(poll(&mut stays).as_deref(), Some("*2 $3 key $1 x"));
}

#[test]
fn nobody_waits_inside_a_transaction() {
    let engine = engine();
    let mut client = Connection::to(&engine);
    client.expect("XGROUP CREATE stream group $ MKSTREAM", "+OK");
    client.expect("MULTI", "+OK");
    for request in [
        "BLPOP key 0",
        "BLMOVE key other LEFT LEFT 0",
        "BLMPOP 0 1 key LEFT",
        "XREAD BLOCK 0 STREAMS key $",
        "XREADGROUP GROUP group ann BLOCK 0 STREAMS stream >",
    ] {
        client.expect(request, "+QUEUED");
    }
    client.expect("EXEC", "*5 *-1 $-1 *-1 *-1 *-1");
}

// --- streams ----------------------------------------------------------------------------------

#[test]
fn every_reader_of_a_stream_gets_a_new_entry() {
    let engine = engine();
    let mut writer = Connection::to(&engine);
    writer.expect("XADD stream 1-0 a 1", "$3 1-0");
    let mut readers: Vec<Waiting> = (0..2)
        .map(|_| Connection::to(&engine).wait("XREAD BLOCK 0 STREAMS stream $"))
        .collect();
    writer.expect("XADD stream 2-0 a 2", "$3 2-0");
    for reader in &mut readers {
        let entry = "*1 *2 $6 stream *1 *2 $3 2-0 *2 $1 a $1 2";
        assert_eq!(poll(reader).as_deref(), Some(entry));
    }
}

/// `$` is the end of the stream when the wait began, not when it is served.
#[test]
fn a_reader_of_a_stream_gets_all_that_a_transaction_added() {
    let engine = engine();
    let mut reader = Connection::to(&engine).wait("XREAD BLOCK 0 STREAMS other stream $ $");
    let mut writer = Connection::to(&engine);
    writer.expect("MULTI", "+OK");
    writer.expect("XADD stream 1-0 a 1", "+QUEUED");
    writer.expect("XADD stream 2-0 a 2", "+QUEUED");
    writer.expect("EXEC", "*2 $3 1-0 $3 2-0");
    let entries = "*1 *2 $6 stream *2 *2 $3 1-0 *2 $1 a $1 1 *2 $3 2-0 *2 $1 a $1 2";
    assert_eq!(poll(&mut reader).as_deref(), Some(entries));
}

#[test]
fn one_consumer_of_a_group_gets_a_new_entry() {
    let engine = engine();
    let mut writer = Connection::to(&engine);
    writer.expect("XGROUP CREATE stream group $ MKSTREAM", "+OK");
    let mut consumers = ["ann", "bob"].map(|name| {
        let request = format!("XREADGROUP GROUP group {name} BLOCK 0 STREAMS stream >");
        Connection::to(&engine).wait(&request)
    });
    writer.expect("XADD stream 1-0 a 1", "$3 1-0");
    let entry = "*1 *2 $6 stream *1 *2 $3 1-0 *2 $1 a $1 1";
    assert_eq!(poll(&mut consumers[0]).as_deref(), Some(entry));
    assert_eq!(poll(&mut consumers[1]), None);
    writer.expect(
        "XPENDING stream group",
        "*4 :1 $3 1-0 $3 1-0 *1 *2 $3 ann $1 1",
    );
}

#[test]
fn consumers_hear_that_their_group_has_gone() {
    let no_group = "-NOGROUP No such key 'stream' or consumer group 'group' in XREADGROUP with \
                    GROUP option";
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for (request, wanted) in [
        ("XGROUP DESTROY stream group", no_group),
        ("DEL stream", no_group),
        ("RENAME stream other", no_group),
        ("FLUSHALL", no_group),
        ("SET stream text", wrong_type),
    ] {
        let engine = engine();
        let mut other = Connection::to(&engine).wait("BLPOP stream 0");
        let mut writer = Connection::to(&engine);
        writer.expect("XGROUP CREATE stream group $ MKSTREAM", "+OK");
        let mut waiting =
            Connection::to(&engine).wait("XREADGROUP GROUP group ann BLOCK 0 STREAMS stream >");
        writer.call(request);
        assert_eq!(poll(&mut waiting).as_deref(), Some(wanted), "{request}");
        assert_eq!(poll(&mut other), None);
    }
}

/// FLUSHALL and SWAPDB took every key that somebody waits for as changed, so that those which were
/// written after them were served in another order than that of their writes.
#[test]
fn keys_that_were_not_there_are_not_changed_by_a_change_of_the_database() {
    for whole in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
        for (from, to) in [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")] {
            let engine = engine();
            let moving = format!("BLMOVE {from} {to} LEFT LEFT 0");
            let mut moved = Connection::to(&engine).wait(&moving);
            let mut popped = Connection::to(&engine).wait(&format!("BLPOP {to} 0"));
            let mut writer = Connection::to(&engine);
            writer.expect("MULTI", "+OK");
            writer.expect(whole, "+QUEUED");
            writer.expect(&format!("RPUSH {to} first"), "+QUEUED");
            writer.expect(&format!("RPUSH {from} second"), "+QUEUED");
            writer.expect("EXEC", "*3 +OK :1 :1");
            let popped = poll(&mut popped);
            assert_eq!(popped, Some(format!("*2 $1 {to} $5 first")), "{whole}");
            assert_eq!(poll(&mut moved).as_deref(), Some("$6 second"));
        }
    }
}

/// A stream that another database brings, or takes away, is news for those who wait in its group.
#[test]
fn a_swap_serves_who_waits_for_what_it_brings() {
    let engine = engine();
    let mut other = Connection::to(&engine);
    other.expect("SELECT 1", "+OK");
    other.expect("RPUSH list 1", ":1");
    let mut popped = Connection::to(&engine).wait("BLPOP list 0");
    let mut writer = Connection::to(&engine);
    writer.expect("XGROUP CREATE stream group $ MKSTREAM", "+OK");
    let mut consumer =
        Connection::to(&engine).wait("XREADGROUP GROUP group ann BLOCK 0 STREAMS stream >");
    other.expect("SWAPDB 0 1", "+OK");
    assert_eq!(poll(&mut popped).as_deref(), Some("*2 $4 list $1 1"));
    let gone = "-NOGROUP No such key 'stream' or consumer group 'group' in XREADGROUP with GROUP \
                option";
    assert_eq!(poll(&mut consumer).as_deref(), Some(gone));
}

// --- sorted sets ------------------------------------------------------------------------------

#[test]
fn waiters_take_members_from_the_end_that_they_asked_for() {
    let engine = engine();
    let mut lowest = Connection::to(&engine).wait("BZPOPMIN other scores 0");
    let mut highest = Connection::to(&engine).wait("BZPOPMAX scores 0");
    let mut two = Connection::to(&engine).wait("BZMPOP 0 2 other scores MIN COUNT 2");
    let mut late = Connection::to(&engine).wait("BZPOPMIN scores 0");
    let mut writer = Connection::to(&engine);

    writer.expect("ZADD scores 1 a 2 b 3 c 4 d", ":4");

    let taken = |waiting: &mut Waiting| poll(waiting).unwrap_or_default();
    assert_eq!(taken(&mut lowest), "*3 $6 scores $1 a $1 1");
    assert_eq!(taken(&mut highest), "*3 $6 scores $1 d $1 4");
    assert_eq!(taken(&mut two), "*2 $6 scores *2 *2 $1 b $1 2 *2 $1 c $1 3");
    assert_eq!(poll(&mut late), None);
    writer.expect("EXISTS scores", ":0");
    writer.expect("ZINCRBY scores 2.5 e", "$3 2.5");
    assert_eq!(taken(&mut late), "*3 $6 scores $1 e $3 2.5");
}

#[test]
fn a_stored_sorted_set_serves_the_waiter() {
    for request in [
        "ZUNIONSTORE target 1 source",
        "ZRANGESTORE target source 0 -1",
        "RENAME source target",
    ] {
        let engine = engine();
        let mut waiting = Connection::to(&engine).wait("BZPOPMAX target 0");
        let mut writer = Connection::to(&engine);
        writer.expect("ZADD source 1 a 2 b", ":2");
        writer.call(request);
        let answer = poll(&mut waiting);
        assert_eq!(
            answer.as_deref(),
            Some("*3 $6 target $1 b $1 2"),
            "{request}"
        );
    }
}

#[test]
fn a_waiter_for_members_gets_nothing_when_its_time_has_passed() {
    let engine = engine();
    let mut waiting = Connection::to(&engine).wait("BZPOPMIN scores 1.5");
    engine.tick(&later_ms(1000));
    assert_eq!(poll(&mut waiting), None);
    engine.tick(&later_ms(2000));
    assert_eq!(poll(&mut waiting).as_deref(), Some("*-1"));
}

// --- threads ----------------------------------------------------------------------------------

#[test]
fn what_threads_push_threads_that_wait_get_once() {
    const EACH: usize = 500;
    let engine = engine();
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let mut taker = Connection::to(&engine);
            thread::spawn(move || {
                let take = |_| {
                    let answer = taker.call("BLPOP left right 0");
                    taker.waiting.take().map_or(answer, block_on)
                };
                (0..EACH).map(take).collect::<Vec<String>>()
            })
        })
        .collect();
    let pushers: Vec<_> = [("left", "RPUSH"), ("right", "LPUSH")]
        .into_iter()
        .map(|(key, command)| {
            let mut pusher = Connection::to(&engine);
            thread::spawn(move || {
                for number in 0..2 * EACH {
                    pusher.call(&format!("{command} {key} {key}{number:04}"));
                }
            })
        })
        .collect();
    pushers
        .into_iter()
        .for_each(|pusher| pusher.join().expect("pushed"));
    let mut taken: Vec<String> = takers
        .into_iter()
        .flat_map(|taker| taker.join().expect("taken"))
        .collect();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 4 * EACH);
    Connection::to(&engine).expect("EXISTS left right", ":0");
}

/// What is moved by transactions, by scripts and by waits, between accounts and between lists, is
/// there as a whole whenever anybody looks.
#[test]
fn nothing_is_lost_or_seen_twice_while_threads_move_it() {
    const ACCOUNTS: usize = 5;
    const STEPS: usize = 400;
    let engine = engine();
    let mut first = Connection::to(&engine);
    for account in 0..ACCOUNTS {
        first.expect(&format!("SET account:{account} 1000"), "+OK");
    }
    first.expect("RPUSH list:0 a b c d e f g h", ":8");

    let movers = (0..4usize).map(|mover| {
        let mut mover_connection = Connection::to(&engine);
        thread::spawn(move || {
            for step in 0..STEPS {
                let (from, to) = ((mover + step) % ACCOUNTS, (mover * 3 + step * 2) % ACCOUNTS);
                move_one(&mut mover_connection, step % 4, from, to);
            }
        })
    });
    let movers: Vec<_> = movers.collect();
    let mut observer = Connection::to(&engine);
    let mut is_over = false;
    while !is_over {
        is_over = movers.iter().all(thread::JoinHandle::is_finished);
        look_at_all(&mut observer, ACCOUNTS);
    }
    for mover in movers {
        mover.join().expect("moved all");
    }
    look_at_all(&mut observer, ACCOUNTS);
}

/// Moves 1 from an account to another, or an element from a list to another.
fn move_one(connection: &mut Connection, way: usize, from: usize, to: usize) {
    let script = "redis.call('DECR',KEYS[1])\tredis.call('INCR',KEYS[2])";
    match way {
        0 => {
            connection.expect("MULTI", "+OK");
            connection.expect(&format!("DECR account:{from}"), "+QUEUED");
            connection.expect(&format!("INCR account:{to}"), "+QUEUED");
            connection.call("EXEC");
        }
        1 => {
            connection.expect(
                &format!("EVAL {script} 2 account:{from} account:{to}"),
                "$-1",
            );
        }
        2 => {
            // Whoever watched in vain has moved nothing.
            connection.expect(&format!("WATCH account:{from} account:{to}"), "+OK");
            connection.expect("MULTI", "+OK");
            connection.expect(&format!("DECRBY account:{from} 2"), "+QUEUED");
            connection.expect(&format!("INCRBY account:{to} 2"), "+QUEUED");
            connection.call("EXEC");
        }
        _ => {
            let (from, to) = (from % 2, to % 2);
            let request = format!("BLMOVE list:{from} list:{to} LEFT RIGHT 0");
            connection.call(&request);
            // Both lists are here, so one of the others brings what is waited for: or nobody does any
            // more, and then the wait is given up.
            connection.waiting = None;
        }
    }
}

fn look_at_all(observer: &mut Connection, accounts: usize) {
    let names: Vec<String> = (0..accounts)
        .map(|account| format!("account:{account}"))
        .collect();
    let answer = observer.call(&format!("MGET {}", names.join(" ")));
    let numbers = answer.split(' ').skip(2).step_by(2);
    let sum: i64 = numbers
        .map(|number| number.parse::<i64>().expect("a number"))
        .sum();
    assert_eq!(sum, 1000 * accounts as i64, "{answer}");
    let script = "return\tredis.call('LLEN','list:0')+redis.call('LLEN','list:1')";
    observer.expect(&format!("EVAL {script} 0"), ":8");
}
