//! Clients that hear of changes of what they have read: whom they redirect to, what becomes of it
//! when somebody leaves, and how it is bounded.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use larder_engine::Engine;

use crate::support::{Connection, START, engine, text};

impl Connection {
    /// A connection that speaks RESP3.
    fn modern(engine: &Arc<Engine>) -> Connection {
        let mut connection = Connection::to(engine);
        connection.call("HELLO 3");
        connection
    }

    /// All that it has been told.
    fn mail(&self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(mail) = self.mailbox.take() {
            all.push(text(
                &mail.encoded(self.session.is_resp3()).unwrap_or_default(),
            ));
        }
        all
    }
}

/// A figure of INFO.
fn figure(engine: &Arc<Engine>, name: &str) -> u64 {
    Connection::to(engine).figure(name)
}

#[test]
fn who_flushes_has_forgotten_also_what_those_have_read_who_track_no_more() {
    let engine = engine();
    let mut reader = Connection::modern(&engine);
    reader.call("CLIENT TRACKING on");
    reader.call("GET a");
    reader.call("CLIENT TRACKING off");
    reader.call("FLUSHALL");
    assert_eq!(figure(&engine, "tracking_total_keys"), 0);
    assert_eq!(figure(&engine, "tracking_total_items"), 0);
}

#[test]
fn who_is_redirected_to_hears_on_a_channel_in_resp2_and_by_a_push_in_resp3() {
    let engine = engine();
    let (mut reader, mut target, mut writer) = (
        Connection::to(&engine),
        Connection::to(&engine),
        Connection::to(&engine),
    );
    let id = target.id();

    reader.call(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    reader.call("GET k");
    writer.call("SET k 1");
    assert!(target.mail().is_empty(), "it is not subscribed");

    target.call("SUBSCRIBE __redis__:invalidate");
    reader.call("GET k");
    writer.call("SET k 2");
    let message = "*3 $7 message $20 __redis__:invalidate";
    assert_eq!(target.mail(), [format!("{message} *1 $1 k")]);
    writer.call("FLUSHALL");
    assert_eq!(target.mail(), [format!("{message} *-1")]);
    target.call("RESET");

    target.call("HELLO 3");
    reader.call("GET k");
    writer.call("SET k 3");
    assert_eq!(target.mail(), [">2 $10 invalidate *1 $1 k"]);
    assert!(reader.mail().is_empty());
    assert_eq!(reader.call("CLIENT GETREDIR"), format!(":{id}"));
    assert!(
        reader
            .call("CLIENT INFO")
            .contains(&format!(" redir={id} "))
    );
}

/// A client that has read `k` and redirects what it is told, and the one to which it does.
fn redirected(engine: &Arc<Engine>) -> (Connection, Connection) {
    let (mut reader, target) = (Connection::modern(engine), Connection::modern(engine));
    reader.call(&format!("CLIENT TRACKING ON REDIRECT {}", target.id()));
    reader.call("GET k");
    (reader, target)
}

#[test]
fn a_client_whose_target_is_gone_is_told_so_if_it_speaks_resp3() {
    let engine = engine();
    let (mut reader, target) = redirected(&engine);
    let (id, mut writer) = (target.id(), Connection::to(&engine));

    drop(target);
    assert!(reader.call("CLIENT INFO").contains(" flags=t "));
    writer.call("SET k 1");

    let broken = format!(">2 $21 tracking-redir-broken :{id}");
    assert_eq!(reader.mail(), [broken]);
    assert!(reader.call("CLIENT INFO").contains(" flags=tR "));
    assert!(
        reader
            .call("CLIENT TRACKINGINFO")
            .contains("broken_redirect")
    );
    reader.call("CLIENT TRACKING ON");
    reader.call("GET k");
    writer.call("SET k 2");
    assert_eq!(reader.mail(), [">2 $10 invalidate *1 $1 k"]);
    assert!(reader.call("CLIENT INFO").contains(" flags=t "));
}

#[test]
fn a_target_that_has_sent_quit_is_gone_before_its_connection_is() {
    let engine = engine();
    let (reader, mut target) = redirected(&engine);
    let (id, mut writer) = (target.id(), Connection::to(&engine));
    assert_eq!(target.call("QUIT"), "+OK (closed)");
    writer.call("SET k 1");
    let broken = format!(">2 $21 tracking-redir-broken :{id}");
    assert_eq!(reader.mail(), [broken]);
}

#[test]
fn a_client_may_redirect_to_itself() {
    let engine = engine();
    let mut own = Connection::to(&engine);
    let id = own.id();

    own.call("HELLO 3");
    own.call(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    own.call("SUBSCRIBE __redis__:invalidate");
    own.call("GET k");
    own.call("SET k 1");
    assert_eq!(own.mail(), [">2 $10 invalidate *1 $1 k"]);

    own.call("GET k");
    own.call("SET k 1");
    own.call("HELLO 2");
    assert_eq!(
        own.mail(),
        ["*3 $7 message $20 __redis__:invalidate *1 $1 k"]
    );
}

#[test]
fn a_client_that_goes_back_to_resp2_is_told_nothing_until_it_speaks_resp3_again() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON");
    for key in ["a", "b", "c"] {
        reader.call(&format!("GET {key}"));
    }

    writer.call("SET a 1");
    reader.call("HELLO 2");
    assert_eq!(reader.mail(), [""], "there is no way to say it in RESP2");
    writer.call("SET b 1");
    assert!(reader.mail().is_empty());
    reader.call("HELLO 3");
    writer.call("SET c 1");
    assert_eq!(reader.mail(), [">2 $10 invalidate *1 $1 c"]);
}

#[test]
fn tracking_is_seen_in_the_list_of_clients_and_in_info() {
    let engine = engine();
    let (mut one, mut other) = (Connection::modern(&engine), Connection::modern(&engine));
    one.call("CLIENT TRACKING ON");
    one.call("MGET a b");
    other.call("CLIENT TRACKING ON");
    other.call("MGET b c");

    assert!(one.call("CLIENT INFO").contains(" flags=t "));
    assert!(one.call("CLIENT INFO").contains(" redir=0 "));
    assert_eq!(figure(&engine, "tracking_clients"), 2);
    assert_eq!(figure(&engine, "tracking_total_keys"), 3);
    assert_eq!(figure(&engine, "tracking_total_items"), 4);

    other.call("CLIENT TRACKING OFF");
    other.call("CLIENT TRACKING ON BCAST PREFIX a PREFIX b");
    engine.tick(&START);
    assert!(other.call("CLIENT INFO").contains(" flags=tB "));
    assert_eq!(figure(&engine, "tracking_total_keys"), 2);
    assert_eq!(figure(&engine, "tracking_total_items"), 2);
    assert_eq!(figure(&engine, "tracking_total_prefixes"), 2);

    other.call("RESET");
    assert!(other.call("CLIENT INFO").contains(" redir=-1 "));
    assert_eq!(figure(&engine, "tracking_clients"), 1);
    assert_eq!(figure(&engine, "tracking_total_prefixes"), 0);
}

#[test]
fn who_leaves_is_forgotten_and_told_nothing() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON");
    reader.call("MGET a b c");
    let mailbox = Arc::clone(&reader.mailbox);

    drop(reader);
    writer.call("SET a 1");
    assert!(mailbox.take().is_none());
    assert_eq!(figure(&engine, "tracking_total_keys"), 2);
    engine.tick(&START);
    assert_eq!(figure(&engine, "tracking_total_keys"), 0);
    assert_eq!(figure(&engine, "tracking_clients"), 0);
}

#[test]
fn no_more_keys_are_remembered_than_allowed_and_who_read_a_forgotten_one_is_told() {
    let engine = engine();
    let mut reader = Connection::modern(&engine);
    reader.call("CONFIG SET tracking-table-max-keys 100");
    reader.call("CLIENT TRACKING ON");

    for key in 0..1000 {
        reader.call(&format!("GET {key}"));
    }
    engine.tick(&START);
    assert_eq!(figure(&engine, "tracking_total_keys"), 100);
    assert_eq!(reader.mail().len(), 900);

    // A smaller bound holds at once.
    reader.call("CONFIG SET tracking-table-max-keys 10");
    assert_eq!(figure(&engine, "tracking_total_keys"), 10);
    assert_eq!(reader.mail().len(), 90);
}

#[test]
fn who_tracks_and_does_not_read_is_cut_off() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON BCAST");
    let is_cut_off = |connection: &Connection| {
        let mut context = Context::from_waker(Waker::noop());
        connection.mailbox.poll(&mut context) == Poll::Ready(None)
    };

    assert!(reader.session.is_listening());
    for _ in 0..10_000 {
        writer.call("SET k 1");
    }
    assert!(is_cut_off(&reader));
}

#[test]
fn a_flush_forgets_all_that_was_remembered_and_says_so_once() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON");
    for key in 0..1000 {
        reader.call(&format!("GET {key}"));
    }

    writer.call("FLUSHALL");
    assert_eq!(reader.mail(), [">2 $10 invalidate _"]);
    assert_eq!(figure(&engine, "tracking_total_keys"), 0);
    writer.call("SET 1 1");
    assert!(reader.mail().is_empty());
    writer.call("SWAPDB 0 1");
    assert_eq!(reader.mail(), [">2 $10 invalidate _"]);
}

/// What a call changes is told at its end, a message for each prefix, unless it is very much.
#[test]
fn a_script_that_writes_many_keys_is_told_of_in_few_messages() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON BCAST PREFIX k");

    let script = "for i = 1, ARGV[1] do redis.call('SET', 'k' .. i % 500, 1) end";
    writer.send_words(&["EVAL", script, "0", "1000"]);
    let mail = reader.mail();
    assert_eq!(mail.len(), 1);
    assert!(mail[0].starts_with(">2 $10 invalidate *500 $2 k0 $2 k1 $3 k10 "));

    writer.send_words(&["EVAL", script, "0", "5000"]);
    assert_eq!(reader.mail().len(), 5);
}

#[test]
fn who_watches_a_key_and_has_read_it_is_told_and_its_transaction_is_void() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON");
    reader.call("WATCH k");
    reader.call("GET k");
    reader.call("MULTI");
    reader.call("GET k");

    writer.call("SET k 1");
    assert_eq!(reader.call("EXEC"), "_");
    assert_eq!(reader.mail(), [">2 $10 invalidate *1 $1 k"]);
}

#[test]
fn keys_of_the_same_name_in_other_databases_are_other_keys() {
    let engine = engine();
    let (mut reader, mut writer) = (Connection::modern(&engine), Connection::to(&engine));
    reader.call("CLIENT TRACKING ON");
    reader.call("GET k");

    writer.call("SELECT 1");
    writer.call("SET k 1");
    assert!(reader.mail().is_empty());
    writer.call("SELECT 0");
    writer.call("SET k 1");
    assert_eq!(reader.mail().len(), 1);
}

#[test]
fn a_key_that_is_evicted_is_an_event_and_who_has_read_it_is_told() {
    let engine = engine();
    let (mut reader, mut listener, mut writer) = (
        Connection::modern(&engine),
        Connection::to(&engine),
        Connection::to(&engine),
    );
    reader.call("CLIENT TRACKING ON");
    listener.call("SUBSCRIBE __keyevent@0__:evicted");
    writer.call("CONFIG SET notify-keyspace-events Ee");
    for key in 0..100 {
        writer.call(&format!("SET {key} {}", "x".repeat(1000)));
        reader.call(&format!("GET {key}"));
    }

    writer.call("CONFIG SET maxmemory-policy allkeys-random");
    writer.call("CONFIG SET maxmemory 1");
    engine.tick(&START);

    let event = "*3 $7 message $22 __keyevent@0__:evicted $";
    let evicted = listener.mail();
    assert!(!evicted.is_empty());
    assert!(evicted.iter().all(|mail| mail.starts_with(event)));
    let told = reader.mail();
    let key = |mail: &String| mail.rsplit(' ').next().map(str::to_owned);
    let evicted: Vec<_> = evicted.iter().map(key).collect();
    assert_eq!(told.iter().map(key).collect::<Vec<_>>(), evicted);
}
