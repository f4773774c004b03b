//! Loading many values at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::faults::{Fate, faults};
use super::*;

/// What a load gives for many names.
type Given = Result<HashMap<String, u32>, BoxError>;

/// Loads a number for each name, and notes what it was asked for.
#[derive(Default)]
struct Database {
    asked: Mutex<Vec<Vec<String>>>,
}

impl Database {
    async fn load(&self, names: Vec<String>) -> Given {
        self.asked
            .lock()
            .expect("nobody panics")
            .push(names.clone());
        Ok(names.into_iter().map(|name| (name, 7)).collect())
    }

    fn asked(&self) -> Vec<Vec<String>> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

/// A load of many that must not be needed.
async fn needless_many(names: Vec<String>) -> Given {
    panic!("nobody asks for {names:?}")
}

fn all(values: Vec<Result<u32, Error>>) -> Result<Vec<u32>, Error> {
    values.into_iter().collect()
}

/// Begins to load these names at once, and waits until the load has begun.
async fn begin_many(cache: &Cache<u32>, names: &'static [&'static str]) -> BegunMany {
    let (finish, finished) = oneshot::channel::<HashMap<String, u32>>();
    let begun = Arc::new(Notify::new());
    let finished = Arc::new(Mutex::new(Some(finished)));
    let (loading, notify) = (cache.clone(), begun.clone());
    let caller = tokio::spawn(async move {
        let load = async |_| {
            let finished = finished.lock().expect("nobody panics").take();
            notify.notify_one();
            Ok(finished.ok_or("it is loaded once")?.await?)
        };
        loading.get_many_or_set(names, load).await
    });
    begun.notified().await;
    BegunMany { finish, caller }
}

struct BegunMany {
    finish: oneshot::Sender<HashMap<String, u32>>,
    caller: JoinHandle<Vec<Result<u32, Error>>>,
}

impl BegunMany {
    /// Lets the load give this for each of these names.
    async fn finish(self, names: &[&str], value: u32) -> Vec<Result<u32, Error>> {
        let given = names.iter().map(|name| ((*name).to_owned(), value));
        assert!(
            self.finish.send(given.collect()).is_ok(),
            "the load goes on"
        );
        self.caller.await.expect("it does not panic")
    }
}

every_store! {
    async fn what_is_missing_is_loaded_by_one_call_and_kept(test: TestStore) {
        let (cache, database) = (process(&test.store), Database::default());
        cache.set("b", &2).await?;

        let values = cache.get_many_or_set(["a", "b", "c"], |names| database.load(names)).await;
        assert_eq!(all(values)?, [7, 2, 7]);
        assert_eq!(database.asked(), [["a", "c"]]);

        assert_eq!(all(cache.get_many_or_set(["c", "a"], needless_many).await)?, [7, 7]);
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (3, 2, 2));
    }

    async fn of_no_names_nothing_is_asked(test: TestStore) {
        let cache = process(&faults(&test.store, |command| panic!("{command:?}")));
        assert_eq!(cache.get_many_or_set([""; 0], needless_many).await, []);
    }

    async fn more_names_than_go_to_the_store_at_once_are_one_load(test: TestStore) {
        let (cache, database) = (process(&test.store), Database::default());
        let names: Vec<String> = (0..2500).map(|number| number.to_string()).collect();
        let values = cache.get_many_or_set(&names, |names| database.load(names)).await;
        assert_eq!(all(values)?, vec![7; 2500]);
        assert_eq!(database.asked(), [names]);
    }

    async fn a_name_that_is_asked_for_twice_is_loaded_once(test: TestStore) {
        // Nothing that small can be kept: so it is no second look that finds it.
        let (cache, database) = (process(&test.store).max_len(0), Database::default());
        cache.clone().max_len(100).set("b", &2).await?;

        let names = ["a", "b", "a", "a", "b"];
        let values = cache.get_many_or_set(names, |names| database.load(names)).await;
        assert_eq!(all(values)?, [7, 2, 7, 7, 2]);
        assert_eq!(database.asked(), [["a"]]);
    }

    async fn when_the_load_fails_what_was_there_is_given_all_the_same(test: TestStore) {
        let cache = process(&test.store);
        cache.set("b", &2).await?;

        let load = async |_| -> Given { Err("the database is down".into()) };
        let values = cache.get_many_or_set(["a", "b", "c"], load).await;
        assert_eq!(values[1], Ok(2));
        for place in [0, 2] {
            assert!(matches!(&values[place], Err(Error::Load(_))), "{values:?}");
        }
        // Nobody has to wait for it.
        let cache = cache.wait(Duration::ZERO);
        let database = Database::default();
        all(cache.get_many_or_set(["a", "c"], |names| database.load(names)).await)?;
        assert_eq!(database.asked(), [["a", "c"]]);
    }

    async fn a_name_for_which_the_load_gives_nothing_is_an_error_of_its_own(test: TestStore) {
        let cache = process(&test.store);
        let load = async |_| Ok(HashMap::from([("b".to_owned(), 2), ("z".to_owned(), 26)]));
        let values = cache.get_many_or_set(["a", "b"], load).await;
        assert!(matches!(&values[0], Err(Error::Load(_))), "{values:?}");
        assert_eq!(values[1], Ok(2));
        assert_eq!(cache.get("z").await?, None, "nobody has asked for it");
        assert_eq!(cache.get_or_set("a", || async { Ok(1) }).await?, 1);
    }

    async fn a_stale_value_is_given_out_for_each_that_cant_be_loaded(test: TestStore) {
        let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?).grace(Duration::from_secs(60));
        cache.set("a", &1).await?;
        test.pass(SHORT).await;

        let load = async |_| -> Given { Err("the database is down".into()) };
        let values = cache.get_many_or_set(["a", "b"], load).await;
        assert_eq!(values[0], Ok(1));
        assert!(values[1].is_err());
    }

    async fn a_stale_value_is_given_out_while_another_process_loads_it(test: TestStore) {
        let process = || {
            let cache = Cache::new(&test.store, "shop", Ttl::new(SHORT)?);
            Ok::<_, Error>(cache.grace(Duration::from_secs(60)))
        };
        let (ours, theirs) = (process()?, process()?);
        ours.set("a", &1).await?;
        test.pass(SHORT).await;

        let begun = begin_many(&theirs, &["a"]).await;
        let ours = ours.wait(Duration::ZERO);
        assert_eq!(all(ours.get_many_or_set(["a"], needless_many).await)?, [1]);
        assert_eq!(all(begun.finish(&["a"], 2).await)?, [2]);
    }

    async fn values_are_kept_as_it_is_said(test: TestStore) {
        let (cache, database) = (process(&test.store), Database::default());
        let keep = Keep::new().ttl(Ttl::new(SHORT)?).tag("red");
        let load = |names| database.load(names);
        cache.get_many_or_set_with(["a", "b"], keep.clone(), load).await;
        assert_eq!(all(cache.get_many_or_set(["a", "b"], needless_many).await)?, [7, 7]);

        cache.invalidate_tags(["red"]).await?;
        all(cache.get_many_or_set_with(["a", "b"], keep, load).await)?;
        test.pass(SHORT).await;
        all(cache.get_many_or_set(["a", "b"], load).await)?;
        assert_eq!(database.asked(), [["a", "b"]; 3]);

        let many_tags = Keep::new().tags((0..256).map(|number| number.to_string()));
        let refused = cache.get_many_or_set_with(["x", "y"], many_tags, needless_many).await;
        assert!(matches!(&refused[..], [Err(Error::Invalid { .. }), Err(Error::Invalid { .. })]));
    }

    async fn a_value_from_before_a_change_is_not_kept(test: TestStore) {
        let cache = process(&test.store);
        let begun = begin_many(&cache, &["a", "b"]).await;
        cache.delete("a").await?;
        assert_eq!(all(begun.finish(&["a", "b"], 1).await)?, [1, 1]);
        assert_eq!((cache.get("a").await?, cache.get("b").await?), (None, Some(1)));
    }

    async fn what_somebody_else_loads_is_not_loaded_again(test: TestStore) {
        let ours = process(&test.store);
        for cache in [ours.clone(), process(&test.store)] {
            ours.clear().await?;
            let begun = begin_many(&ours, &["a", "b"]).await;
            let database = Arc::new(Database::default());
            let (asking, before) = (database.clone(), cache.stats().waits);
            let waiting = cache.clone();
            let caller = tokio::spawn(async move {
                waiting.get_many_or_set(["b", "c"], |names| asking.load(names)).await
            });
            while cache.stats().waits == before {
                tokio::task::yield_now().await;
            }
            assert_eq!(database.asked(), [["c"]], "it does not wait to load what is its own");
            assert_eq!(all(begun.finish(&["a", "b"], 1).await)?, [1, 1]);
            assert_eq!(all(caller.await?)?, [1, 7]);
            assert_eq!(database.asked(), [["c"]]);
        }
    }

    /// Each waits for what the other loads.
    async fn calls_whose_names_overlap_do_not_wait_in_a_circle(test: TestStore) {
        let cache = process(&test.store);
        let loads = Arc::new(AtomicU32::new(0));
        let callers = (0..40_usize).map(|number| {
            let (cache, loads) = (cache.clone(), loads.clone());
            tokio::spawn(async move {
                let load = async |names: Vec<String>| {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    loads.fetch_add(names.len() as u32, Ordering::SeqCst);
                    Ok(names.into_iter().map(|name| (name, 7)).collect::<HashMap<_, _>>())
                };
                let names = (0..5).map(|step| ((number * 3 + step * 7) % 20).to_string());
                cache.get_many_or_set(names, load).await
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert_eq!(all(caller.await?)?, [7; 5]);
        }
        assert_eq!(loads.load(Ordering::SeqCst), 20, "each name once");
    }

    async fn who_gives_up_a_load_of_many_lets_others_load_at_once(test: TestStore) {
        let cache = process(&test.store).lease(Duration::from_secs(3600));
        let begun = begin_many(&cache, &["a", "b"]).await;
        begun.caller.abort();
        assert!(begun.caller.await.is_err());

        let (cache, database) = (cache.wait(SHORT), Database::default());
        let values = cache.get_many_or_set(["a", "b"], |names| database.load(names)).await;
        assert_eq!(all(values)?, [7, 7]);
        assert_eq!(database.asked(), [["a", "b"]]);
    }

    async fn a_load_of_many_that_asks_for_one_of_them_is_told_at_once(test: TestStore) {
        let cache = process(&test.store);
        for name in ["a", "b"] {
            let asks = cache.clone();
            let load = move |_| {
                let asks = asks.clone();
                async move {
                    let value = asks.get_or_set(name, needless).await?;
                    Ok(HashMap::from([("a".to_owned(), value)]))
                }
            };
            for value in cache.get_many_or_set(["a", "b"], load).await {
                let error = value.expect_err("it would wait for itself");
                let cause = error.cause::<Error>();
                assert!(matches!(cause, Some(Error::Invalid { .. })), "{error:?}");
            }
        }
    }

    /// The others of the batch are covered by the permit of the first.
    async fn without_the_store_all_are_one_load_with_one_permit(test: TestStore) {
        let cache = process(&faults(&test.store, |_| Fate::Away))
            .without_store(WithoutStore::Load { at_once: 1 });
        let database = Database::default();
        let values = cache.get_many_or_set(["a", "b", "a"], |names| database.load(names)).await;
        assert_eq!(all(values)?, [7, 7, 7]);
        assert_eq!(database.asked(), [["a", "b"]]);

        let fails = cache.without_store(WithoutStore::Fail);
        for value in fails.get_many_or_set(["a", "b"], needless_many).await {
            assert!(value.expect_err("the store is away").is_away());
        }
    }

    /// A cluster may have lost one of its nodes.
    async fn what_is_away_is_loaded_with_what_is_missing(test: TestStore) {
        let is_of_b = |command: &Command| {
            command.arguments().iter().any(|word| word.starts_with(b"{shop:cache:b}"))
        };
        let partly = faults(&test.store, move |command| match is_of_b(command) {
            true => Fate::Away,
            false => Fate::Fine,
        });
        let (cache, database) = (process(&partly), Database::default());
        let values = cache.get_many_or_set(["b", "a"], |names| database.load(names)).await;
        assert_eq!(all(values)?, [7, 7]);
        assert_eq!(database.asked(), [["a", "b"]]);
        assert_eq!(cache.get("a").await?, Some(7));
    }

    async fn a_lost_answer_costs_no_value_and_leaves_no_lease(test: TestStore) {
        for lost in 0..8 {
            let (left, is_over) = (AtomicU32::new(lost), Arc::new(AtomicBool::new(false)));
            let over = is_over.clone();
            let flaky = faults(&test.store, move |_| {
                if over.load(Ordering::SeqCst) || left.fetch_sub(1, Ordering::SeqCst) != 0 {
                    return Fate::Fine;
                }
                over.store(true, Ordering::SeqCst);
                Fate::Unanswered
            });
            let cache = Cache::new(&flaky, "shop", TTL).lease(Duration::from_secs(3600)).wait(SHORT);
            cache.clear().await.ok();
            let database = Database::default();
            let values = cache.get_many_or_set(["a", "b"], |names| database.load(names)).await;
            assert_eq!(all(values)?, [7, 7], "{lost}");
            assert_eq!(database.asked().len(), 1, "{lost}");

            is_over.store(true, Ordering::SeqCst);
            let values = cache.get_many_or_set(["a", "b"], |names| database.load(names)).await;
            assert_eq!(all(values)?, [7, 7], "{lost}");
        }
    }
}
