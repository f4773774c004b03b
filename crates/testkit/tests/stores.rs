//! What every kind of store does alike, seen through the seam.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::time::Duration;

use larder_store::{Channels, Error, Event, Script, Value};
use larder_testkit::{every_store, words};

/// The text of a refusal; empty if there was none.
fn refusal<T>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Refused(refusal)) => refusal.text().to_owned(),
        _ => String::new(),
    }
}

every_store! {
    async fn what_is_set_is_got_until_it_expires(test: TestStore) {
        test.store.run::<()>(words("SET a 1 PX 300")).await?;
        assert_eq!(test.store.run::<i64>(words("GET a")).await?, 1);
        test.pass(Duration::from_millis(300)).await;
        assert_eq!(test.store.call(words("GET a")).await?, Value::Null);
    }

    async fn a_refusal_has_the_text_of_redis(test: TestStore) {
        test.store.run::<()>(words("SET a x")).await?;
        let Err(Error::Refused(refusal)) = test.store.call(words("INCR a")).await else {
            panic!("INCR of a word was not refused");
        };
        assert_eq!(refusal.text(), "ERR value is not an integer or out of range");
        let Err(Error::Refused(refusal)) = test.store.call(words("NOPE x")).await else {
            panic!("an unknown command was not refused");
        };
        assert_eq!(refusal.text(), "ERR unknown command 'NOPE', with args beginning with: 'x' ");
    }

    async fn single_keys_are_got_set_counted_and_removed(test: TestStore) {
        assert_eq!(test.store.get("a").await?, None);
        test.store.set("a", "x").await?;
        assert_eq!(test.store.get("a").await?, Some("x".into()));
        assert!(test.store.del("a").await?);
        assert!(!test.store.del("a").await?);
        for sum in [1, 2] {
            assert_eq!(test.store.incr("n").await?, sum);
        }
        assert_eq!(test.store.get("n").await?, Some("2".into()));
    }

    async fn single_keys_are_refused_with_the_text_of_redis(test: TestStore) {
        test.store.run::<()>(words("RPUSH list x")).await?;
        test.store.set("text", "x").await?;
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(refusal(test.store.get("list").await), wrong);
        assert_eq!(refusal(test.store.incr("list").await), wrong);
        let no_integer = "ERR value is not an integer or out of range";
        assert_eq!(refusal(test.store.incr("text").await), no_integer);
        test.store.set("text", i64::MAX.to_string()).await?;
        let overflow = "ERR increment or decrement would overflow";
        assert_eq!(refusal(test.store.incr("text").await), overflow);
    }

    async fn a_batch_answers_each_command(test: TestStore) {
        let batch = ["SET a x", "INCR a", "GET a"].map(words).to_vec();
        let answers = test.store.call_all(batch).await?;
        assert_eq!(answers[0], Ok(Value::ok()));
        assert!(matches!(answers[1], Err(Error::Refused(_))));
        assert_eq!(answers[2], Ok(Value::Bytes("x".into())));
        assert_eq!(test.store.call_all(Vec::new()).await?, Vec::new());
    }

    async fn a_transaction_in_a_batch_is_one_step(test: TestStore) {
        let batch = ["MULTI", "SET a 1", "LPUSH a x", "INCR a", "EXEC"].map(words).to_vec();
        let answers = test.store.call_all(batch).await?;
        let Ok(Value::Array(results)) = &answers[4] else { panic!("{answers:?}") };
        assert_eq!((&results[0], &results[2]), (&Value::ok(), &Value::Int(2)));
        assert!(matches!(&results[1], Value::Error(refusal) if refusal.code() == "WRONGTYPE"));
    }

    async fn a_script_runs_by_its_digest(test: TestStore) {
        static SCRIPT: Script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
        let keys = larder_store::Keys::new("test", "counter");
        for sum in [2, 4] {
            let got: i64 = SCRIPT.on(&test.store).key(keys.of("x")).arg(2).run().await?;
            assert_eq!(got, sum);
        }
    }

    async fn messages_reach_channels_and_patterns(test: TestStore) {
        let channels = Channels::default().channel("news").pattern("n*");
        let mut events = test.store.subscribe(channels).await?;
        // A cluster counts only those on the node that was asked.
        let counted: i64 = test.store.run(words("PUBLISH news hello")).await?;
        assert!(counted == 2 || test.as_cluster().is_some(), "{counted}");
        for pattern in [None, Some("n*".into())] {
            let Some(Event::Message(message)) = events.next().await else { panic!("no message") };
            assert_eq!((message.pattern, &message.payload[..]), (pattern, &b"hello"[..]));
        }
        drop(events);
        while test.listeners("news").await? > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn a_wait_for_a_key_keeps_nobody_waiting(test: TestStore) {
        let store = test.store.clone();
        let popped = tokio::spawn(async move { store.call(words("BLPOP queue 30")).await });
        while test.store.run::<i64>(words("PUBLISH x y")).await? > 0 {}
        test.store.run::<()>(words("SET a 1")).await?;
        test.store.run::<()>(words("RPUSH queue job")).await?;
        let wanted = ["queue", "job"].map(|text| Value::Bytes(text.into())).to_vec();
        assert_eq!(popped.await??, Value::Array(wanted));
    }

    async fn a_closed_store_refuses_calls(test: TestStore) {
        test.store.run::<()>(words("PING")).await?;
        test.store.close().await?;
        assert!(matches!(test.store.call(words("PING")).await, Err(Error::Closed)));
    }
}

every_store! {
    on memory, redis, valkey;

    async fn a_test_runs_on_the_kinds_that_it_names(test: TestStore) {
        assert!(test.as_sentinels().is_none() && test.as_cluster().is_none());
        let info: String = test.store.run(words("INFO server")).await?;
        assert!(info.contains("redis_version:"), "{info}");
    }
}

every_store! {
    on valkey;

    async fn a_test_runs_on_the_one_kind_that_it_names(test: TestStore) {
        let info: String = test.store.run(words("INFO server")).await?;
        assert!(info.contains("valkey_version:"), "{info}");
    }
}
