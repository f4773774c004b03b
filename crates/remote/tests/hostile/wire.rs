//! What is no answer, or not the one that was asked for.

use larder_remote::Config;
use larder_store::{Error, Value};
use tokio::time::{Instant, timeout};

use crate::stub::{Stub, bulk, echo};
use crate::{SHORT, SLACK, hasty, open, words};

/// Serves the first connection with these bytes for its first request and hangs up, others as they should
/// be.
async fn once(bytes: &'static str) -> Stub {
    Stub::start(move |mut peer| async move {
        let is_first = peer.number == 0;
        while peer.request().await.is_some() {
            match is_first {
                true => {
                    peer.say(bytes).await;
                    return;
                }
                false => peer.say("+OK\r\n").await,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_that_is_cut_short_nobody_knows_and_a_read_is_asked_again() {
    for cut in [
        "$5\r\nhel",
        "$5",
        "*2\r\n:1\r\n",
        "-ERR n",
        "%1\r\n+a\r\n",
        "",
    ] {
        let stub = once(cut).await;
        let answer = open(&stub.url(), Config::default())
            .call(words("INCR a"))
            .await;
        assert!(
            matches!(answer, Err(Error::Unanswered { .. })),
            "{cut:?}: {answer:?}"
        );
        let stub = once(cut).await;
        let answer = open(&stub.url(), Config::default())
            .call(words("GET a"))
            .await;
        assert_eq!(answer, Ok(Value::ok()), "{cut:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_speak_the_protocol_ends_its_connection_alone() {
    let deep = "*1\r\n".repeat(200);
    for says in [
        "HTTP/1.1 200 OK\r\n",
        "$-7\r\n",
        "*-3\r\n",
        "$99999999999999999999\r\n",
        "*99999999999999999999\r\n",
        "%18446744073709551615\r\n",
        ":one\r\n",
        "$1\r\nab\r\n",
        "\r\n",
        "\0\0\0\0\n",
        &deep,
    ] {
        let stub = once(String::leak(says.to_owned())).await;
        let store = open(&stub.url(), hasty());
        let answer = store.call(words("INCR a")).await;
        let is_in_doubt = matches!(answer, Err(Error::Unanswered { .. }));
        let start: String = says.chars().take(20).collect();
        assert!(is_in_doubt, "{start:?}: {answer:?}");
        assert_eq!(
            store.call(words("INCR a")).await,
            Ok(Value::ok()),
            "{start:?}"
        );
    }
}

/// Each took a frame of the stack, and the process went with it.
#[tokio::test(flavor = "multi_thread")]
async fn much_may_be_said_of_an_answer_before_it_comes() {
    let attributes = "|0\r\n".repeat(1_000_000) + ":1\r\n";
    let stub = Stub::answering(move |_| Some(attributes.clone())).await;
    let answer = open(&stub.url(), Config::default())
        .call(words("INCR a"))
        .await;
    assert_eq!(answer, Ok(Value::Int(1)));
}

/// A long list is believed as far as it has come.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_says_it_is_endless_is_given_up_in_time() {
    let stub = Stub::answering(|_| Some("*4000000000\r\n:1\r\n".to_owned())).await;
    let store = open(&stub.url(), hasty());
    let asked = Instant::now();
    let answer = store.call(words("INCR a")).await;
    assert!(
        matches!(answer, Err(Error::Unanswered { .. })),
        "{answer:?}"
    );
    assert!(asked.elapsed() < SHORT + SLACK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_answer_for_one_request_is_given_to_nobody() {
    let stub = Stub::start(|mut peer| async move {
        while let Some(words) = peer.request().await {
            let answer = echo(&words);
            peer.say(format!("{answer}{answer}")).await;
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    for number in 0..20 {
        let number = number.to_string();
        match store.call(words(&format!("ECHO {number}"))).await {
            Ok(Value::Bytes(answer)) => assert_eq!(&answer[..], number.as_bytes()),
            // The connection may have ended in the meantime, or be about to.
            Err(Error::Unanswered { .. } | Error::Away(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_has_asked_for_ends_the_connection() {
    let stub = Stub::start(|mut peer| async move {
        let is_first = peer.number == 0;
        while let Some(words) = peer.request().await {
            peer.say(echo(&words)).await;
            if is_first {
                tokio::time::sleep(SHORT / 8).await;
                peer.say(bulk("stray")).await;
                peer.be_silent().await;
            }
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    assert_eq!(
        store.run::<String>(words("ECHO a")).await.as_deref(),
        Ok("a")
    );
    tokio::time::sleep(SHORT / 2).await;
    assert_eq!(
        store.run::<String>(words("ECHO b")).await.as_deref(),
        Ok("b")
    );
    assert_eq!(stub.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_for_callers_who_have_gone_are_given_to_nobody_else() {
    let stub = Stub::start(|mut peer| async move {
        while let Some(words) = peer.request().await {
            if words[1] == "slow" {
                tokio::time::sleep(SHORT / 4).await;
            }
            peer.say(echo(&words)).await;
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    for number in 0..5 {
        let late = timeout(SHORT / 40, store.call(words("ECHO slow"))).await;
        assert!(late.is_err());
        let own = format!("own-{number}");
        let answer: Result<String, Error> = store.run(words(&format!("ECHO {own}"))).await;
        assert_eq!(answer, Ok(own));
    }
    assert_eq!(stub.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_between_answers_are_taken_for_none() {
    let push = ">3\r\n+message\r\n+news\r\n$2\r\nhi\r\n>2\r\n+invalidate\r\n_\r\n>0\r\n";
    let stub = Stub::answering(move |words| Some(format!("{push}{}{push}", echo(words)))).await;
    let store = open(&stub.url(), hasty());
    for number in 0..20 {
        let number = number.to_string();
        let answer: Result<String, Error> = store.run(words(&format!("ECHO {number}"))).await;
        assert_eq!(answer, Ok(number));
    }
    assert_eq!(stub.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_may_come_byte_by_byte() {
    let stub = Stub::start(|mut peer| async move {
        peer.stream.set_nodelay(true).unwrap();
        while let Some(words) = peer.request().await {
            let answer = format!("*2\r\n{}%1\r\n+k\r\n,1.5\r\n", echo(&words));
            for byte in answer.as_bytes() {
                peer.say([*byte]).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    for number in 0..5 {
        let word = number.to_string();
        let wanted = Value::Array(vec![
            Value::Bytes(word.clone().into()),
            Value::Map(vec![(Value::Status("k".into()), Value::Double(1.5))]),
        ]);
        assert_eq!(store.call(words(&format!("ECHO {word}"))).await, Ok(wanted));
    }
}

/// What was answered stands, of the rest nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_is_cut_each_command_has_its_own_result() {
    let stub = Stub::start(|mut peer| async move {
        for answer in [":1\r\n", ":2\r\n"] {
            peer.request().await;
            peer.say(answer).await;
        }
    })
    .await;
    let store = open(&stub.url(), hasty());
    let batch = vec![words("INCR a"); 5];
    let answers = store.call_all(batch).await.unwrap();
    assert_eq!(answers[..2], [Ok(Value::Int(1)), Ok(Value::Int(2))]);
    for answer in &answers[2..] {
        assert!(
            matches!(answer, Err(Error::Unanswered { .. })),
            "{answer:?}"
        );
    }
}

/// The first of them had been answered when the caller's own time was over, and its answer was thrown
/// away with it.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_whose_time_is_over_what_was_answered_stands() {
    let stub = Stub::start(|mut peer| async move {
        peer.request().await;
        peer.say(":1\r\n").await;
        peer.be_silent().await;
    })
    .await;
    let store = open(&stub.url(), hasty()).within(SHORT / 4);
    let asked = Instant::now();
    let answers = store.call_all(vec![words("INCR a"); 3]).await.unwrap();
    assert!(asked.elapsed() < SHORT / 4 + SLACK);
    assert_eq!(answers[0], Ok(Value::Int(1)));
    for answer in &answers[1..] {
        assert!(
            matches!(answer, Err(Error::Unanswered { .. })),
            "{answer:?}"
        );
    }
}

/// A server that has never read a word of a batch has closed: the batch is sent again as a whole, if
/// nothing of it has left.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_written_is_sent_again() {
    let stub = Stub::start(|mut peer| async move {
        // Of the first connection nothing is read but the greeting; it is full after that.
        if peer.number == 0 {
            peer.greet().await;
            tokio::time::sleep(SHORT * 3).await;
            return;
        }
        while peer.request().await.is_some() {
            peer.say("+OK\r\n").await;
        }
    })
    .await;
    let store = open(&stub.url(), Config::default());
    let large = "x".repeat(16 << 20);
    let (first, second) = tokio::join!(store.call(words(&format!("SET a {large}"))), async {
        // The first fills the socket; the second lies in the outbox when the connection ends.
        tokio::time::sleep(SHORT).await;
        store.call(words("INCR b")).await
    });
    assert!(matches!(first, Err(Error::Unanswered { .. })), "{first:?}");
    assert_eq!(second, Ok(Value::ok()));
}
