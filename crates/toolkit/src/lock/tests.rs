//! Locks, on every kind of store.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_store::{
    Answer, Awaited, Backend, Channels, Command, Error, Key, Keys, Store, Subscription, Value,
};
use larder_testkit::{Sharded, TestStore, every_store};
use tokio::time::Instant;

use super::attempt::Outcome;
use super::*;

const TTL: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);
/// What a guard extends in time, also on a slow machine.
const SECOND: Duration = Duration::from_secs(1);

/// A waiter listens before it waits.
async fn until_somebody_listens(test: &TestStore, channel: &Key) -> Result<(), Error> {
    while test.listeners(channel).await? == 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

every_store! {
    async fn a_lock_is_held_by_one_at_a_time(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let guard = locks.try_lock("stock").await?.expect("the lock is free");
        assert!(locks.try_lock("stock").await?.is_none());
        assert!(locks.try_lock("other").await?.is_some());

        assert!(guard.release().await?);
        assert!(locks.try_lock("stock").await?.is_some());
    }

    async fn every_grant_has_a_larger_token(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let mut last = 0;
        for _ in 0..20 {
            let guard = locks.try_lock("stock").await?.expect("the lock is free");
            assert!(guard.token() > last, "{} after {last}", guard.token());
            last = guard.token();
            assert!(guard.release().await?);
        }
    }

    /// A failover or FLUSHALL may take the last token along.
    async fn tokens_grow_also_when_the_last_one_was_lost(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let first = locks.try_lock("stock").await?.expect("the lock is free").token();

        locks.close().await;
        test.clear().await?;
        test.pass(Duration::from_millis(1)).await;

        let second = locks.try_lock("stock").await?.expect("the lock is free").token();
        assert!(second > first, "{second} after {first}");
    }

    /// A clock that steps back must not make tokens smaller.
    async fn tokens_grow_also_when_the_last_one_is_ahead_of_the_clock(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let ahead: u64 = 5_000_000_000_000_000;
        let fence = Keys::new("shop", "lock").of("stock").part("fence");
        test.store.run::<()>(Command::new("SET").arg(fence).arg(ahead)).await?;

        let guard = locks.try_lock("stock").await?.expect("the lock is free");
        assert_eq!(guard.token(), ahead + 1);
    }

    /// The answer to a request can be lost; the request is then sent again.
    async fn a_request_that_is_sent_twice_is_granted_once(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let mut attempt = locks.attempt("stock");
        let Outcome::Taken(first) = attempt.send().await? else { panic!("the lock is free") };
        let Outcome::Taken(again) = attempt.send().await? else { panic!("the request has it") };

        assert_eq!(first.token, again.token);
        assert!(attempt.into_guard(again).release().await?);
    }

    async fn a_request_that_is_dropped_in_doubt_gives_the_lock_back(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        let mut attempt = locks.attempt("stock");
        assert!(matches!(attempt.send().await?, Outcome::Taken(_)));
        drop(attempt);
        locks.close().await;

        assert_eq!(locks.holder("stock").await?, None);
    }

    async fn a_guard_that_is_dropped_gives_the_lock_back(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");

        drop(locks.try_lock("stock").await?);
        locks.close().await;

        assert_eq!(locks.holder("stock").await?, None);
    }

    async fn releasing_what_has_expired_is_false_and_no_error(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);

        let guard = locks.clone().ttl(SHORT).try_lock("stock").await?.expect("the lock is free");
        test.pass(SHORT).await;

        assert!(!guard.release().await?);
    }

    async fn a_late_release_leaves_the_next_holder_alone(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);

        let late = locks.clone().ttl(SHORT).try_lock("stock").await?.expect("the lock is free");
        test.pass(SHORT).await;
        let next = locks.try_lock("stock").await?.expect("the lock has expired");

        assert!(!late.release().await?);
        assert!(next.release().await?);
    }

    async fn a_waiter_gets_the_lock_when_it_is_released(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let first = locks.try_lock("stock").await?.expect("the lock is free");

        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.lock("stock", TTL).await })
        };
        let channel = Keys::new("shop", "lock").of("stock").part("free");
        until_somebody_listens(&test, &channel).await?;
        let token = first.token();
        assert!(first.release().await?);

        assert!(waiting.await??.token() > token);
    }

    async fn waiters_get_the_lock_one_after_the_other(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let counter = Keys::new("shop", "counter").only();

        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (locks, store, counter) = (locks.clone(), test.store.clone(), counter.clone());
            tasks.spawn(async move {
                let guard = locks.lock("stock", TTL).await.expect("everyone gets a turn");
                // Read, think, write: wrong without the lock.
                let seen: Option<u32> = store.run(Command::new("GET").arg(&counter)).await.expect("GET");
                tokio::task::yield_now().await;
                let next = seen.unwrap_or(0) + 1;
                store.run::<()>(Command::new("SET").arg(&counter).arg(next)).await.expect("SET");
                guard.release().await.expect("release")
            });
        }
        while let Some(released) = tasks.join_next().await {
            assert!(released?);
        }

        let count: u32 = test.store.run(Command::new("GET").arg(&counter)).await?;
        assert_eq!(count, 5);
    }

    /// A server takes longer to answer than no time at all.
    async fn a_free_lock_is_taken_however_short_the_wait(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.lock("stock", Duration::ZERO).await?;

        let wait = Duration::ZERO;
        let other = locks.lock("stock", wait).await;
        assert_eq!(other.map(|guard| guard.token()), Err(Error::TimedOut { what: Awaited::Lock, waited: wait }));

        assert!(guard.release().await?);
        assert!(locks.lock("stock", Duration::MAX).await?.release().await?);
    }

    async fn a_waiter_gives_up_when_its_time_is_over(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let _guard = locks.try_lock("stock").await?;

        let waited = locks.lock("stock", SHORT).await;

        assert_eq!(waited.map(|guard| guard.token()), Err(Error::TimedOut { what: Awaited::Lock, waited: SHORT }));
    }

    async fn a_guard_is_extended_while_it_lives(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.clone().ttl(SECOND).try_lock("stock").await?.expect("the lock is free");

        let began = Instant::now();
        let early = tokio::time::timeout(SECOND * 2, guard.lost()).await;

        assert!(early.is_err(), "lost after {:?}: {early:?}", began.elapsed());
        assert!(guard.remaining() > Duration::ZERO);
        assert!(guard.release().await?);
    }

    async fn a_guard_that_nobody_extends_is_lost_before_the_store_gives_it_away(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);
        let guard = locks.clone().ttl(SHORT).try_lock("stock").await?.expect("the lock is free");

        assert_eq!(guard.lost().await, Lost::Expired);
        assert_eq!(guard.remaining(), Duration::ZERO);
    }

    async fn work_is_dropped_when_the_lock_is_lost(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.clone().ttl(SECOND).try_lock("stock").await?.expect("the lock is free");
        test.clear().await?;

        let worked = guard.run(std::future::pending::<()>()).await;

        assert_eq!(worked, Err(Lost::Taken));
        assert!(!guard.release().await?);
    }

    async fn extending_lengthens_a_lock_and_never_cuts_it_short(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);
        let guard = locks.clone().ttl(TTL / 4).try_lock("stock").await?.expect("the lock is free");

        assert!(guard.extend(TTL).await?);
        assert!(guard.remaining() > TTL / 2);
        assert!(guard.extend(TTL / 4).await?);
        assert!(guard.remaining() > TTL / 2);
        let holder = locks.holder("stock").await?.expect("it is held");
        assert!(holder.remaining > TTL / 2);
    }

    async fn what_is_lost_is_not_extended(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand);
        let guard = locks.try_lock("stock").await?.expect("the lock is free");
        test.clear().await?;

        assert!(!guard.extend(TTL).await?);
        assert_eq!(guard.lost().await, Lost::Taken);
    }

    async fn a_time_to_live_out_of_range_is_refused(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let guard = locks.try_lock("stock").await?.expect("the lock is free");

        for ttl in [Duration::ZERO, Duration::from_millis(9), Locks::TTL_MAX + SHORT] {
            assert!(matches!(guard.extend(ttl).await, Err(Error::Invalid { .. })));
        }
        assert!(guard.remaining() > TTL / 2);
    }

    /// The token must grow after the end of a lock that was held for longer than a token is kept.
    async fn the_last_token_is_remembered_from_the_end_of_the_lock(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let fence = Keys::new("shop", "lock").of("stock").part("fence");
        let remembered = || test.store.run::<i64>(Command::new("PTTL").arg(&fence));
        let day_ms = 24 * 60 * 60 * 1000;
        let guard = locks.try_lock("stock").await?.expect("the lock is free");

        test.store.run::<()>(Command::new("PEXPIRE").arg(&fence).arg(1000)).await?;
        assert!(guard.extend(TTL).await?);
        assert!(remembered().await? > day_ms);

        test.store.run::<()>(Command::new("DEL").arg(&fence)).await?;
        assert!(guard.extend(TTL).await?);
        assert_eq!(test.store.run::<u64>(Command::new("GET").arg(&fence)).await?, guard.token());

        test.store.run::<()>(Command::new("PEXPIRE").arg(&fence).arg(1000)).await?;
        assert!(guard.release().await?);
        assert!(remembered().await? > day_ms / 2);
    }

    async fn a_lock_that_somebody_made_persist_still_ends(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").extension(Extension::ByHand).ttl(SHORT);
        let _guard = locks.try_lock("stock").await?.expect("the lock is free");
        let key = Keys::new("shop", "lock").of("stock");
        test.store.run::<()>(Command::new("PERSIST").arg(&key)).await?;

        assert!(locks.holder("stock").await?.is_some());
        assert!(locks.try_lock("stock").await?.is_none());
        test.pass(SHORT).await;
        assert!(locks.try_lock("stock").await?.is_some());
    }

    async fn the_waiters_of_a_process_share_one_subscription_and_are_served_in_order(test: TestStore) {
        let locks = Locks::new(&test.store, "shop");
        let first = locks.try_lock("stock").await?.expect("the lock is free");
        let channel = Keys::new("shop", "lock").of("stock").part("free");
        let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = tokio::task::JoinSet::new();
        let asked = || calls_of(&test, "evalsha");

        for number in 0..5 {
            let before = asked().await?;
            let (locks, served) = (locks.clone(), served.clone());
            waiting.spawn(async move {
                let guard = locks.lock("stock", TTL).await.expect("everyone gets a turn");
                served.send(number).expect("somebody listens");
                guard.release().await.expect("release");
            });
            while asked().await? == before {
                tokio::task::yield_now().await;
            }
            until_somebody_listens(&test, &channel).await?;
        }
        assert_eq!(test.listeners(&channel).await?, 1);

        first.release().await?;
        waiting.join_all().await;
        let served: Vec<i32> = std::iter::from_fn(|| order.try_recv().ok()).collect();
        assert_eq!(served, [0, 1, 2, 3, 4]);
    }

    async fn nobody_holds_a_lock_for_longer_than_it_may_be_held(test: TestStore) {
        let locks = Locks::new(&test.store, "shop").ttl(SHORT).held_max(SHORT * 3);
        let guard = locks.try_lock("stock").await?.expect("the lock is free");

        let began = Instant::now();
        assert_eq!(guard.lost().await, Lost::Expired);
        assert!(began.elapsed() > SHORT, "it is extended until then");
    }
}

/// How often a store was asked to run this command.
async fn calls_of(test: &TestStore, command: &str) -> Result<u64, Error> {
    let runs = test.commands_run().await?;
    Ok(runs.get(command).copied().unwrap_or(0))
}

/// A store of which some calls go wrong.
struct Failing {
    store: Store,
    /// What becomes of the calls to come, in order; those after the last are answered.
    fates: Arc<Mutex<VecDeque<Fate>>>,
    late: Late,
}

/// The requests that were told to be lost, and come when the test sends them.
type Late = Arc<Mutex<Vec<Command>>>;

#[derive(Clone, Copy)]
enum Fate {
    Answered,
    AnswerLost,
    Late,
    Away,
}

impl Failing {
    fn next(&self) -> Fate {
        self.fates
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Fate::Answered)
    }
}

impl Backend for Failing {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        Answer::later(async move {
            match self.next() {
                Fate::Answered => self.store.call(command).await,
                Fate::Away => Err(Error::away("it is being restarted")),
                Fate::Late => {
                    self.late.lock().unwrap().push(command);
                    Err(Error::unanswered("the connection was cut"))
                }
                Fate::AnswerLost => {
                    self.store.call(command).await.ok();
                    Err(Error::unanswered("the connection was cut"))
                }
            }
        })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        self.store.call_all(commands)
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }
}

/// A memory store, and the same one seen through a connection on which calls go wrong.
async fn failing(fates: &[Fate]) -> (Store, Store) {
    let (store, failing, _) = late(fates).await;
    (store, failing)
}

/// The same, and the requests that come late.
async fn late(fates: &[Fate]) -> (Store, Store, Late) {
    let store = TestStore::lua().store;
    // So that a call of a script is one call.
    let locks = Locks::new(&store, "other");
    locks
        .try_lock("warm")
        .await
        .unwrap()
        .unwrap()
        .release()
        .await
        .unwrap();
    let fates = Arc::new(Mutex::new(fates.iter().copied().collect()));
    let late = Late::default();
    let failing = Failing {
        store: store.clone(),
        fates,
        late: late.clone(),
    };
    (store, Store::new(failing), late)
}

/// The release had overtaken it, and the lock was held by nobody for its whole time to live.
#[tokio::test(start_paused = true)]
async fn a_request_that_comes_when_it_is_given_up_takes_nothing() {
    let sent_again = &[Fate::Late, Fate::Answered][..];
    for (fates, is_held) in [
        (&[Fate::Late; 3][..], false),
        (sent_again, false),
        (sent_again, true),
    ] {
        let (store, failing, late) = late(fates).await;
        let (locks, others) = (Locks::new(&failing, "shop"), Locks::new(&store, "shop"));
        let held = match is_held {
            true => others.try_lock("stock").await.unwrap(),
            false => None,
        };

        if let Ok(Some(guard)) = locks.try_lock("stock").await {
            assert_eq!(guard.release().await, Ok(true));
        }
        drop(held);
        others.close().await;
        locks.close().await;
        let late = std::mem::take(&mut *late.lock().unwrap());
        for request in late {
            store.run::<Value>(request).await.unwrap();
        }

        assert_eq!(others.holder("stock").await, Ok(None));
        assert!(others.try_lock("stock").await.unwrap().is_some());
    }
}

/// A store that is away says nothing of what it did before.
#[tokio::test(start_paused = true)]
async fn doubt_lasts_until_an_answer_comes() {
    let (store, failing) = failing(&[Fate::AnswerLost, Fate::Away]).await;
    let locks = Locks::new(&failing, "shop");

    let error = locks.try_lock("stock").await.map(drop).unwrap_err();
    assert!(error.is_away(), "{error}");
    locks.close().await;

    assert_eq!(Locks::new(&store, "shop").holder("stock").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_left_is_given_back_when_the_store_is_there_again() {
    let away = [Fate::Away; 20];
    let (store, failing) = failing(&[&[Fate::Answered][..], &away].concat()).await;
    let locks = Locks::new(&failing, "shop").extension(Extension::ByHand);

    drop(locks.try_lock("stock").await.unwrap().unwrap());
    while Locks::new(&store, "shop")
        .holder("stock")
        .await
        .unwrap()
        .is_some()
    {
        tokio::time::sleep(SHORT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_no_store_that_is_away() {
    let (store, failing) = failing(&[&[Fate::Answered][..], &[Fate::Away; 1000]].concat()).await;
    let locks = Locks::new(&failing, "shop").extension(Extension::ByHand);

    drop(locks.try_lock("stock").await.unwrap().unwrap());
    tokio::time::timeout(TTL, locks.close())
        .await
        .expect("it ends");

    assert!(
        Locks::new(&store, "shop")
            .holder("stock")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_release_is_told_on_the_shard_of_the_lock_where_there_are_shards() {
    let test = TestStore::memory();
    let shards = Sharded::new(&test.store);
    let locks = Locks::new(&Store::new(shards.clone()), "shop");
    let first = locks.try_lock("stock").await.unwrap().unwrap();
    let waiting = {
        let locks = locks.clone();
        tokio::spawn(async move { locks.lock("stock", TTL).await })
    };
    let channel = Keys::new("shop", "lock").of("stock").part("free");
    until_somebody_listens(&test, &channel).await.unwrap();
    assert!(first.release().await.unwrap());
    assert!(waiting.await.unwrap().unwrap().release().await.unwrap());
    let mut asked = shards.asked();
    // A store that does not know the script yet is sent it a second time.
    asked.dedup();
    assert_eq!(asked, ["SSUBSCRIBE", "SPUBLISH"]);
}
