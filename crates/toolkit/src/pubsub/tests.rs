//! Messages, on every kind of store.

use larder_store::{Command, Error, Keys, Store};
use larder_testkit::{Sharded, TestStore, every_store};
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    id: u32,
    goods: Vec<String>,
}

fn order(id: u32) -> Order {
    Order {
        id,
        goods: vec!["book".into()],
    }
}

fn message<T>(channel: &str, pattern: Option<&str>, body: T) -> Option<Event<T>> {
    Some(Event::Message {
        channel: channel.into(),
        pattern: pattern.map(Into::into),
        body,
    })
}

/// A server's channels are those of all its databases, and so of all tests that share it.
fn namespace() -> String {
    format!("shop-{:x}", rand::random::<u64>())
}

/// Publishes what so many hear. A cluster counts only those on the node that was asked.
async fn publish<T: Serialize>(
    test: &TestStore,
    events: &PubSub,
    (channel, body): (&str, T),
    heard_by: u64,
) -> Result<(), Error> {
    let counted = events.publish(channel, &body).await?;
    match test.as_cluster() {
        None => assert_eq!(counted, heard_by),
        Some(_) => assert!(counted <= heard_by, "{counted}"),
    }
    Ok(())
}

every_store! {
    async fn a_message_reaches_those_who_listen_as_what_it_was(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let mut orders = events.subscribe::<Order>("orders").await?;

        publish(&test, &events, ("orders", order(1)), 1).await?;

        assert_eq!(orders.next().await, message("orders", None, order(1)));
    }

    async fn messages_of_a_channel_come_in_order(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let mut numbers = events.subscribe::<u32>("numbers").await?;

        for number in 0..100 {
            events.publish("numbers", &number).await?;
        }
        for number in 0..100 {
            assert_eq!(numbers.next().await, message("numbers", None, number));
        }
    }

    async fn nobody_hears_what_is_published_to_nobody(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let _others = events.subscribe::<u32>("others").await?;

        assert_eq!(events.publish("orders", &1).await?, 0);
    }

    /// The sketch kept channels and patterns in one table, so that one hid the other.
    async fn a_channel_that_looks_like_a_pattern_is_none(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let mut channel = events.subscribe::<u32>("a*").await?;
        let mut pattern = events.subscribe_pattern::<u32>("a*").await?;

        publish(&test, &events, ("abc", 1), 1).await?;
        // On a cluster, messages of two channels may overtake each other.
        assert_eq!(pattern.next().await, message("abc", Some("a*"), 1));
        publish(&test, &events, ("a*", 2), 2).await?;

        assert_eq!(channel.next().await, message("a*", None, 2));
        assert_eq!(pattern.next().await, message("a*", Some("a*"), 2));
    }

    /// The names in the store were told, where they could not be read back.
    async fn channels_and_patterns_are_told_as_they_were_asked_for(test: TestStore) {
        let events = PubSub::new(&test.store, &format!("{}*[s]", namespace()));
        let long = "é".repeat(2000);
        let mut channel = events.subscribe::<u32>(&long).await?;
        let mut pattern = events.subscribe_pattern::<u32>("o*").await?;

        events.publish(&long, &1_u32).await?;
        events.publish("oz", &2_u32).await?;

        assert_eq!(channel.next().await, message(&long, None, 1));
        assert_eq!(pattern.next().await, message("oz", Some("o*"), 2));
    }

    async fn a_pattern_matches_no_channel_of_another_namespace(test: TestStore) {
        let shop = namespace();
        let mut all = PubSub::new(&test.store, &shop).subscribe_pattern::<u32>("*").await?;
        let other = PubSub::new(&test.store, "blog");

        assert_eq!(other.publish("orders", &1).await?, 0);
        PubSub::new(&test.store, &shop).publish("orders", &2).await?;

        assert_eq!(all.next().await, message("orders", Some("*"), 2));
    }

    async fn two_who_listen_to_one_channel_both_hear_until_each_leaves(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let mut one = events.subscribe::<u32>("orders").await?;
        let mut two = events.subscribe::<u32>("orders").await?;

        events.publish("orders", &1).await?;
        assert_eq!(one.next().await, message("orders", None, 1));
        assert_eq!(two.next().await, message("orders", None, 1));

        drop(one);
        events.publish("orders", &2).await?;
        assert_eq!(two.next().await, message("orders", None, 2));

        drop(two);
        let channel = Keys::new(&shop, "pubsub").of("orders");
        while test.listeners(&channel).await? > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn what_cannot_be_read_is_told_and_the_rest_arrives(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let mut orders = events.subscribe::<Order>("orders").await?;

        let channel = Keys::new(&shop, "pubsub").of("orders");
        let foreign = Command::new("PUBLISH").arg(channel).arg("{\"id\":1}");
        test.store.run::<()>(foreign).await?;
        events.publish("orders", "not an order").await?;
        events.publish("orders", &order(2)).await?;

        for _ in 0..2 {
            let event = orders.next().await;
            assert!(matches!(event, Some(Event::Undecodable { .. })), "{event:?}");
        }
        assert_eq!(orders.next().await, message("orders", None, order(2)));
    }

    async fn a_channel_may_be_called_anything(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &format!("{{{shop}}}"));

        for channel in ["", "a b", "{a}", "100%", "Zoë", "a:b"] {
            let mut subscription = events.subscribe::<u32>(channel).await?;
            publish(&test, &events, (channel, 1), 1).await?;
            assert_eq!(subscription.next().await, message(channel, None, 1));
        }
    }

    async fn whoever_reads_too_slowly_is_told_how_much_was_lost(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop);
        let mut slow = events.clone().buffer(4).subscribe::<u32>("numbers").await?;
        let mut quick = events.subscribe::<u32>("numbers").await?;

        for number in 0..100 {
            events.publish("numbers", &number).await?;
            assert_eq!(quick.next().await, message("numbers", None, number));
        }

        // Whether the newest have come by now is not known; that none is missing untold is.
        let mut expected = 0;
        while expected < 100 {
            match slow.next().await {
                Some(Event::Lagged(lost)) => expected += lost,
                Some(Event::Message { body, .. }) => {
                    assert_eq!(u64::from(body), expected);
                    expected += 1;
                }
                event => panic!("{event:?}"),
            }
        }
    }

    async fn messages_that_stay_on_a_shard_are_heard_in_order_by_as_many_as_are_told(test: TestStore) {
        let shop = namespace();
        let events = PubSub::new(&test.store, &shop).sharded();
        let mut prices = Vec::new();
        for channel in ["book", "tea", "bread"] {
            prices.push((channel, events.subscribe::<u32>(channel).await?));
        }

        for number in 0..20 {
            for (channel, _) in &prices {
                assert_eq!(events.publish(channel, &number).await?, 1);
            }
        }
        for (channel, subscription) in &mut prices {
            for number in 0..20 {
                assert_eq!(subscription.next().await, message(channel, None, number));
            }
        }
        if test.as_cluster().is_some() {
            let runs = test.commands_run().await?;
            assert_eq!((runs.get("publish"), runs.get("spublish")), (None, Some(&60)));
        }
    }
}

#[tokio::test]
async fn sharded_channels_go_by_the_shards_where_there_are_any() -> Result<(), Error> {
    let shards = Sharded::new(&TestStore::memory().store);
    let store = Store::new(shards.clone());
    let prices = PubSub::new(&store, "shop").sharded();
    let mut book = prices.subscribe::<u32>("book").await?;
    prices.publish("book", &1999).await?;
    assert_eq!(book.next().await, message("book", None, 1999));
    assert_eq!(shards.asked(), ["SSUBSCRIBE", "SPUBLISH"]);
    Ok(())
}

/// Else a program that listens by pattern would hear nothing any more when it moves to a cluster.
#[tokio::test]
async fn other_channels_reach_patterns_also_where_there_are_shards() -> Result<(), Error> {
    let shards = Sharded::new(&TestStore::memory().store);
    let events = PubSub::new(&Store::new(shards.clone()), "shop");
    let mut all = events.subscribe_pattern::<u32>("*").await?;
    events.publish("book", &1999).await?;
    assert_eq!(all.next().await, message("book", Some("*"), 1999));
    assert_eq!(shards.asked(), ["PUBLISH"]);
    Ok(())
}

every_store! {
    async fn sharded_channels_reach_those_who_listen_by_name_and_refuse_patterns(test: TestStore) {
        let prices = PubSub::new(&test.store, &namespace()).sharded();
        let mut book = prices.subscribe::<u32>("book").await?;
        prices.publish("book", &1999).await?;
        assert_eq!(book.next().await, message("book", None, 1999));

        let refused = prices.subscribe_pattern::<u32>("*").await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
    }
}
