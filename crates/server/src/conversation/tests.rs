//! Conversations, byte by byte.

use std::task::Waker;
use std::time::Duration;

use larder_embedded::{Clock, Embedded};
use larder_engine::{OutputLimit, OutputLimits};
use larder_resp::{Frame, write_request};

use super::*;
use crate::config::Config;

/// One run of as many requests as there are.
const ALL: usize = usize::MAX;

fn shared() -> Arc<Shared> {
    let store = larder_embedded::Config::default().clock(Clock::manual());
    Arc::new(Shared {
        embedded: Embedded::open(store).unwrap(),
        config: Config::default(),
        keys: None,
        connections: Arc::default(),
    })
}

fn conversation(shared: &Arc<Shared>) -> Conversation {
    Conversation::new(Arc::clone(shared), ClientInfo::default())
}

fn receive(conversation: &mut Conversation, bytes: &[u8]) {
    let mut left = bytes;
    while !left.is_empty() {
        let room = conversation.room();
        let part = left.len().min(room.capacity() - room.len());
        room.extend_from_slice(&left[..part]);
        left = &left[part..];
    }
}

/// Writes everything that is to be written.
fn written(conversation: &mut Conversation) -> Vec<u8> {
    let output = conversation.output();
    let bytes = output.slices().collect::<Vec<_>>().concat();
    output.advance(bytes.len());
    bytes
}

fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_request(&mut bytes, words);
    bytes
}

/// Says something, and hears what is answered at once.
fn ask(conversation: &mut Conversation, words: &[&str]) -> String {
    receive(conversation, &request(words));
    assert_eq!(conversation.run(ALL), Next::Wait);
    String::from_utf8(written(conversation)).unwrap()
}

fn poll(conversation: &mut Conversation) -> Poll<Next> {
    conversation.poll(&mut Context::from_waker(Waker::noop()))
}

// --- requests ----------------------------------------------------------------------------------

#[test]
fn it_does_not_matter_at_which_byte_requests_are_cut() {
    let mut pipeline = request(&["SET", "key", "a value"]);
    pipeline.extend(request(&["GET", "key"]));
    pipeline.extend(b"PING inline\r\n");
    pipeline.extend(request(&["DEL", "key", "other"]));
    let wanted = b"+OK\r\n$7\r\na value\r\n$6\r\ninline\r\n:1\r\n";
    for cut in 0..=pipeline.len() {
        let mut conversation = conversation(&shared());
        let (before, after) = pipeline.split_at(cut);
        for part in [before, after] {
            receive(&mut conversation, part);
            assert_eq!(conversation.run(ALL), Next::Wait);
        }
        let answers = written(&mut conversation);
        assert_eq!(
            answers.escape_ascii().to_string(),
            wanted.escape_ascii().to_string()
        );
    }
}

#[test]
fn a_run_ends_after_as_many_requests_as_it_may_run() {
    let mut conversation = conversation(&shared());
    receive(&mut conversation, &b"INCR counter\r\n".repeat(5));
    assert_eq!(conversation.run(2), Next::Run);
    assert_eq!(written(&mut conversation), b":1\r\n:2\r\n");
    assert_eq!(conversation.run(2), Next::Run);
    assert_eq!(conversation.run(2), Next::Wait);
    assert_eq!(written(&mut conversation), b":3\r\n:4\r\n:5\r\n");
}

#[test]
fn a_run_ends_when_there_is_enough_to_write() {
    let mut conversation = conversation(&shared());
    let long = "x".repeat(RUN_OUTPUT / 2);
    ask(&mut conversation, &["SET", "long", &long]);
    receive(&mut conversation, &b"GET long\r\n".repeat(5));
    assert_eq!(conversation.run(ALL), Next::Run);
    assert!(conversation.output().len() < 2 * RUN_OUTPUT);
}

#[test]
fn what_is_no_request_ends_it_after_the_answers_before_it() {
    let mut conversation = conversation(&shared());
    receive(&mut conversation, b"PING\r\n*1\r\n:4\r\nPING\r\n");
    assert_eq!(conversation.run(ALL), Next::Close);
    let wanted = "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n";
    assert_eq!(written(&mut conversation), wanted.as_bytes());
}

#[test]
fn a_transaction_runs_wherever_its_requests_are_cut() {
    let mut pipeline = Vec::new();
    for line in ["MULTI", "SET a 1", "INCR a", "EXEC"] {
        pipeline.extend(request(&line.split(' ').collect::<Vec<_>>()));
    }
    let mut conversation = conversation(&shared());
    for byte in pipeline {
        receive(&mut conversation, &[byte]);
        assert_eq!(conversation.run(ALL), Next::Wait);
    }
    let wanted = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n";
    assert_eq!(written(&mut conversation), wanted);
}

/// The answer of QUIT is the last, whatever has been received behind it.
#[test]
fn what_follows_the_end_is_not_run() {
    let shared = shared();
    let (mut one, mut other) = (conversation(&shared), conversation(&shared));
    receive(&mut one, b"QUIT\r\nSET key value\r\n");
    assert_eq!(one.run(ALL), Next::Close);
    assert_eq!(written(&mut one), b"+OK\r\n");
    assert_eq!(ask(&mut other, &["EXISTS", "key"]), ":0\r\n");
}

// --- answers that are not taken ------------------------------------------------------------------

/// A client that writes all of its pipeline before it reads an answer waited for ever.
#[test]
fn requests_are_run_while_answers_wait_to_be_written() {
    let mut conversation = conversation(&shared());
    let value = "x".repeat(1000);
    ask(&mut conversation, &["SET", "key", &value]);
    for _ in 0..100 {
        receive(&mut conversation, &b"GET key\r\n".repeat(50));
        while conversation.run(ALL) == Next::Run {}
    }
    let answer = format!("$1000\r\n{value}\r\n");
    assert!(written(&mut conversation) == answer.repeat(5000).as_bytes());
}

#[test]
fn more_than_the_hard_limit_ends_it_at_once() {
    let shared = shared();
    let mut conversation = conversation(&shared);
    ask(&mut conversation, &["SET", "key", &"x".repeat(1000)]);
    let set = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "normal 5000 0 0",
    ];
    assert_eq!(ask(&mut conversation, &set), "+OK\r\n");
    receive(&mut conversation, &b"GET key\r\n".repeat(4));
    assert_eq!(conversation.run(ALL), Next::Wait);
    receive(&mut conversation, b"GET key\r\n");
    assert_eq!(conversation.run(ALL), Next::Cut);
    assert!(conversation.output().is_empty());
}

#[test]
fn more_than_the_soft_limit_ends_it_after_its_seconds() {
    let shared = shared();
    shared.engine().set_output_limits(&OutputLimits {
        normal: OutputLimit {
            hard: 0,
            soft: 100,
            soft_for: Duration::from_secs(3),
        },
        ..OutputLimits::default()
    });
    let mut conversation = conversation(&shared);
    ask(&mut conversation, &["SET", "key", &"x".repeat(1000)]);
    receive(&mut conversation, b"GET key\r\n");
    assert_eq!(conversation.run(ALL), Next::Wait);

    assert_eq!(conversation.check_soft_limit(), Next::Wait);
    assert!(conversation.is_slow());
    shared.embedded.pass(Duration::from_secs(3));
    assert_eq!(conversation.check_soft_limit(), Next::Wait);
    shared.embedded.pass(Duration::from_micros(1));
    assert_eq!(conversation.check_soft_limit(), Next::Cut);
    assert_eq!(disconnections(&shared), [0, 1]);
}

#[test]
fn who_takes_the_answers_in_time_is_slow_no_more() {
    let shared = shared();
    let mut conversation = conversation(&shared);
    ask(&mut conversation, &["SET", "key", &"x".repeat(1000)]);
    ask(
        &mut conversation,
        &[
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "normal 0 100 0",
        ],
    );
    receive(&mut conversation, b"GET key\r\n");
    assert_eq!(conversation.run(ALL), Next::Wait);
    conversation.check_soft_limit();
    assert!(conversation.is_slow());
    written(&mut conversation);
    assert_eq!(conversation.check_soft_limit(), Next::Wait);
    assert!(!conversation.is_slow());
}

/// A short request asks for more than there is memory, where no limit of the client's own is set.
#[test]
fn an_answer_takes_no_more_than_all_clients_may() {
    let mut conversation = conversation(&shared());
    ask(&mut conversation, &["SADD", "set", &"x".repeat(10_000)]);
    conversation.leave_memory(1_000_000);
    receive(
        &mut conversation,
        &request(&["SRANDMEMBER", "set", "-1000000"]),
    );
    assert_eq!(conversation.run(ALL), Next::Cut);
}

// --- requests that are long ------------------------------------------------------------------------

#[test]
fn a_long_word_is_received_into_room_that_ends_with_it() {
    let mut conversation = conversation(&shared());
    let word = "x".repeat(3_000_000);
    receive(&mut conversation, &request(&["SET", "key", &word]));
    assert!(
        conversation.input.capacity() < 3_300_000,
        "{}",
        conversation.input.capacity()
    );
    assert_eq!(conversation.run(ALL), Next::Wait);
    assert_eq!(written(&mut conversation), b"+OK\r\n");
    conversation.room();
    assert!(conversation.input.capacity() < 100_000, "it is given back");
}

#[test]
fn a_word_that_is_only_announced_takes_no_memory() {
    let mut conversation = conversation(&shared());
    receive(
        &mut conversation,
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$500000000\r\nx",
    );
    assert_eq!(conversation.run(ALL), Next::Wait);
    conversation.room();
    assert!(
        conversation.show_memory() < 2_000_000,
        "{}",
        conversation.show_memory()
    );
}

/// Each run used to move all that waits behind it: a gigabyte, for a few requests.
#[test]
fn what_waits_behind_a_wait_is_not_moved_for_each_request() {
    let mut conversation = conversation(&shared());
    receive(&mut conversation, b"BLPOP queue 0\r\n");
    assert_eq!(conversation.run(ALL), Next::Wait);
    receive(&mut conversation, &b"PING\r\n".repeat(100_000));
    let begin = conversation.input.room().as_ptr();
    conversation.hang_up();
    for _ in 0..10 {
        assert_eq!(conversation.run(1000), Next::Run);
        written(&mut conversation);
        assert_eq!(conversation.input.room().as_ptr(), begin);
        assert!(conversation.input.unanswered() < 600_000);
    }
    while conversation.run(ALL) == Next::Run {}
    conversation.room();
    assert!(
        conversation.input.capacity() < 300_000,
        "{}",
        conversation.input.capacity()
    );
}

// --- waiting -----------------------------------------------------------------------------------------

#[test]
fn a_blocked_client_is_answered_and_then_what_it_asked_meanwhile() {
    let shared = shared();
    let (mut blocked, mut other) = (conversation(&shared), conversation(&shared));
    receive(&mut blocked, b"BLPOP queue 0\r\nPING\r\n");
    assert_eq!(blocked.run(ALL), Next::Wait);
    assert!(blocked.is_waiting() && poll(&mut blocked).is_pending());
    receive(&mut blocked, b"GET key\r\n");
    assert_eq!(blocked.run(ALL), Next::Wait);
    assert!(blocked.output().is_empty());

    ask(&mut other, &["RPUSH", "queue", "one"]);
    assert_eq!(poll(&mut blocked), Poll::Ready(Next::Run));
    assert_eq!(blocked.run(ALL), Next::Wait);
    let wanted = b"*2\r\n$5\r\nqueue\r\n$3\r\none\r\n+PONG\r\n$-1\r\n";
    assert_eq!(written(&mut blocked), wanted);
    assert!(!blocked.is_waiting());
}

/// Somebody else holds its key: nothing behind it runs before it, and nothing is lost.
#[test]
fn a_request_whose_keys_are_held_is_run_when_they_are_free() {
    let shared = shared();
    let mut conversation = conversation(&shared);
    let embedded = shared.embedded.clone();
    let script = std::thread::spawn(move || {
        let (engine, mut session) = (embedded.engine(), Session::local());
        let request = larder_store::Command::new("EVAL")
            .arg("while true do end return KEYS[1]")
            .arg(1)
            .arg("key");
        let mut answer = Vec::new();
        // It may find its key held, by those who ask for it below.
        while answer.is_empty() {
            let mut reply = RespReply::new(&mut answer, false);
            let arguments = request.arguments();
            let _ = engine.execute(&mut session, arguments, &embedded, &mut reply);
        }
    });
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while !conversation.is_parked() {
        assert!(std::time::Instant::now() < end, "the script never began");
        receive(&mut conversation, b"INCR key\r\n");
        assert_eq!(conversation.run(ALL), Next::Wait);
    }
    let before = written(&mut conversation)
        .iter()
        .filter(|byte| **byte == b':')
        .count();
    receive(&mut conversation, b"PING\r\n");
    assert_eq!(conversation.run(ALL), Next::Wait);
    assert!(conversation.output().is_empty());

    while poll(&mut conversation).is_pending() {
        shared.engine().stop_scripts();
        shared.embedded.pass(Duration::from_millis(1));
    }
    script.join().unwrap();
    while conversation.run(ALL) != Next::Wait || conversation.is_parked() {
        let _ = poll(&mut conversation);
    }
    let wanted = format!(":{}\r\n+PONG\r\n", before + 1);
    assert_eq!(written(&mut conversation), wanted.as_bytes());
}

/// Its end was seen only when it had sent no more than 64 KB.
#[test]
fn a_blocked_client_gets_room_for_all_that_it_sends() {
    let shared = shared();
    let (mut blocked, mut other) = (conversation(&shared), conversation(&shared));
    receive(&mut blocked, b"BLPOP queue 0\r\n");
    assert_eq!(blocked.run(ALL), Next::Wait);
    for _ in 0..20 {
        receive(&mut blocked, &b"PING\r\n".repeat(1000));
        assert_eq!(blocked.run(ALL), Next::Wait);
        let room = blocked.room();
        assert!(room.capacity() > room.len());
    }
    blocked.hang_up();
    assert_eq!(ask(&mut other, &["RPUSH", "queue", "one"]), ":1\r\n");
    assert_eq!(ask(&mut other, &["LLEN", "queue"]), ":1\r\n");
}

#[test]
fn a_blocked_client_that_sends_more_than_the_query_buffer_is_cut_off() {
    let shared = shared();
    shared.engine().set_query_buffer_max(100_000);
    let mut blocked = conversation(&shared);
    receive(&mut blocked, b"BLPOP queue 0\r\n");
    assert_eq!(blocked.run(ALL), Next::Wait);
    receive(&mut blocked, &b"PING\r\n".repeat(20_000));
    assert_eq!(blocked.run(ALL), Next::Cut);
    assert_eq!(disconnections(&shared), [1, 0]);
}

/// How many INFO counts that went beyond the limit of their requests, and of their answers.
fn disconnections(shared: &Arc<Shared>) -> [u64; 2] {
    let mut other = conversation(shared);
    let info = ask(&mut other, &["INFO", "stats"]);
    ["query", "output"].map(|buffer| {
        let name = format!("client_{buffer}_buffer_limit_disconnections:");
        let mut lines = info.lines();
        let count = lines.find_map(|line| line.strip_prefix(&name));
        count
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(u64::MAX)
    })
}

// --- messages ----------------------------------------------------------------------------------------

#[test]
fn messages_come_after_the_subscription_and_before_its_end() {
    let shared = shared();
    let (mut listener, mut speaker) = (conversation(&shared), conversation(&shared));
    ask(&mut listener, &["SUBSCRIBE", "news"]);
    assert!(listener.is_waiting() && poll(&mut listener).is_pending());
    ask(&mut speaker, &["PUBLISH", "news", "one"]);
    assert_eq!(poll(&mut listener), Poll::Ready(Next::Run));
    let message = |text: &str| {
        let items = ["message", "news", text].map(|word| Frame::Bulk(word.into()));
        let mut bytes = Vec::new();
        Frame::Array(items.to_vec()).write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(written(&mut listener), message("one").as_bytes());

    ask(&mut speaker, &["PUBLISH", "news", "two"]);
    let answer = ask(&mut listener, &["UNSUBSCRIBE"]);
    let end = "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n";
    assert_eq!(answer, message("two") + end);
    assert!(!listener.is_waiting());
}

#[test]
fn messages_of_a_pipeline_come_in_their_order_and_when_it_has_been_run() {
    let shared = shared();
    let (mut listener, mut speaker) = (conversation(&shared), conversation(&shared));
    ask(&mut listener, &["PSUBSCRIBE", "*"]);
    let spoken = ["a one", "a two", "b three", "PING", "a four", "a five"];
    let mut answers = String::new();
    for words in spoken {
        match words.split_once(' ') {
            Some((channel, text)) => {
                receive(&mut speaker, &request(&["PUBLISH", channel, text]));
                answers += ":1\r\n";
            }
            None => {
                receive(&mut speaker, &request(&[words]));
                answers += "+PONG\r\n";
            }
        }
    }
    assert_eq!(speaker.run(ALL), Next::Wait);
    assert_eq!(written(&mut speaker), answers.as_bytes());
    assert_eq!(poll(&mut listener), Poll::Ready(Next::Run));
    let heard = String::from_utf8(written(&mut listener)).unwrap();
    let texts = heard.lines().skip(8).step_by(9);
    assert_eq!(
        texts.collect::<Vec<_>>(),
        ["one", "two", "three", "four", "five"]
    );
}

/// A pipeline that ends a subscription behind its own messages: they come before the end, or never.
#[test]
fn messages_of_a_pipeline_are_given_out_before_its_next_command_of_another_kind() {
    let shared = shared();
    let mut both = conversation(&shared);
    ask(&mut both, &["HELLO", "3"]);
    ask(&mut both, &["SUBSCRIBE", "news"]);
    for words in [&["PUBLISH", "news", "one"], &["PUBLISH", "news", "two"]] {
        receive(&mut both, &request(words));
    }
    let answer = ask(&mut both, &["UNSUBSCRIBE"]);
    let message = |text| format!(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\n{text}\r\n");
    let end = ">3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n";
    assert_eq!(
        answer,
        format!(":1\r\n:1\r\n{}{}{end}", message("one"), message("two"))
    );
}

#[test]
fn a_message_is_shared_by_all_who_receive_it() {
    let shared = shared();
    let mut listeners = [conversation(&shared), conversation(&shared)];
    let mut speaker = conversation(&shared);
    for listener in &mut listeners {
        ask(listener, &["SUBSCRIBE", "news"]);
    }
    ask(&mut speaker, &["PUBLISH", "news", &"x".repeat(100_000)]);
    let places = listeners.each_mut().map(|listener| {
        assert!(poll(listener).is_ready());
        listener.output().slices().next().unwrap().as_ptr()
    });
    assert_eq!(places[0], places[1]);
}

#[test]
fn a_listener_that_takes_nothing_is_cut_off_at_its_limit() {
    let shared = shared();
    let (mut listener, mut speaker) = (conversation(&shared), conversation(&shared));
    ask(
        &mut speaker,
        &[
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "pubsub 100000 0 0",
        ],
    );
    ask(&mut listener, &["SUBSCRIBE", "news"]);
    let mut rounds = 0;
    let end = loop {
        ask(&mut speaker, &["PUBLISH", "news", &"x".repeat(10_000)]);
        rounds += 1;
        match poll(&mut listener) {
            Poll::Ready(Next::Run) => assert!(listener.output().len() < 110_000),
            end => break end,
        }
    };
    assert_eq!((end, rounds), (Poll::Ready(Next::Cut), 10));
}

#[test]
fn requests_and_replies_that_are_large_are_logged() {
    let shared = shared();
    let mut talk = conversation(&shared);
    let limits = [
        "commandlog-request-larger-than",
        "commandlog-reply-larger-than",
    ];
    for limit in limits {
        assert_eq!(ask(&mut talk, &["CONFIG", "SET", limit, "1000"]), "+OK\r\n");
    }
    let long = "x".repeat(1000);
    ask(&mut talk, &["SET", "key", &long]);
    ask(&mut talk, &["GET", "key"]);
    ask(&mut talk, &["GET", "another"]);
    let mut logged = |log: &str| ask(&mut talk, &["COMMANDLOG", "GET", "-1", log]);

    let request = logged("large-request");
    assert!(request.starts_with("*1\r\n*6\r\n:0\r\n"), "{request}");
    assert!(request.contains("SET\r\n"), "{request}");
    assert!(request.contains("... (872 more bytes)"), "{request}");
    let reply = logged("large-reply");
    assert!(reply.starts_with("*1\r\n*6\r\n:0\r\n"), "{reply}");
    assert!(reply.contains("$3\r\nGET\r\n$3\r\nkey\r\n"), "{reply}");
    assert!(
        reply.contains("\r\n:1009\r\n"),
        "the bytes of the answer: {reply}"
    );

    for log in ["large-request", "large-reply"] {
        assert_eq!(ask(&mut talk, &["COMMANDLOG", "RESET", log]), "+OK\r\n");
    }
    for limit in limits {
        ask(&mut talk, &["CONFIG", "SET", limit, "-1"]);
    }
    ask(&mut talk, &["SET", "key", &long]);
    assert_eq!(
        ask(&mut talk, &["COMMANDLOG", "LEN", "large-request"]),
        ":0\r\n"
    );
}
