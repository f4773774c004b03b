//! Stores that are away, full, read only, or lose their answers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use larder_store::{Answer, Backend, Channels, Part, Subscription, Value};

use super::faults::{Fate, faults};
use super::*;

/// A store that is away.
fn away(store: &Store) -> Store {
    faults(store, |_| Fate::Away)
}

/// Whether a command may write.
fn writes(command: &Command) -> bool {
    !matches!(command.name(), b"GET" | b"PTTL" | b"SCAN")
}

every_store! {
    async fn without_the_store_values_are_loaded_and_none_is_kept(test: TestStore) {
        let cache = process(&test.store);
        test.store.close().await?;

        assert_eq!(cache.get_or_set("a", || async { Ok(1) }).await?, 1);
        assert_eq!(cache.get_or_load("a", |_| async { Ok(2) }).await?, 2);
        assert_eq!(cache.get("a").await, Err(Error::Closed));
        assert_eq!(cache.stats().without_store, 2);
    }

    /// Whoever came before the load began gets its value. Whoever came later may have come after a change,
    /// of which the store can't tell: for those who did, one loads again.
    async fn without_the_store_one_at_a_time_loads_for_all_who_wait(test: TestStore) {
        let cache = process(&away(&test.store));
        let first = begin_load(&cache, "a", Keep::new()).await;
        let loads = Arc::new(AtomicU32::new(0));
        let mut followers = Vec::new();
        for _ in 0..20 {
            let (caller, loads) = (cache.clone(), loads.clone());
            let before = cache.stats().waits;
            followers.push(tokio::spawn(async move {
                let load = async || {
                    tokio::time::sleep(SHORT).await;
                    Ok(2 + loads.fetch_add(1, Ordering::SeqCst))
                };
                caller.get_or_set("a", load).await
            }));
            while cache.stats().waits == before {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(first.finish(1).await?, 1);
        for follower in followers {
            assert!(follower.await?? >= 2);
        }
        assert!(loads.load(Ordering::SeqCst) <= 2, "{loads:?}");
    }

    async fn without_the_store_it_fails_if_that_is_wanted(test: TestStore) {
        let cache = process(&test.store).without_store(WithoutStore::Fail);
        test.store.close().await?;

        assert_eq!(cache.get_or_set("a", needless).await, Err(Error::Closed));
        assert_eq!(cache.stats().loads, 0);
    }

    async fn without_the_store_so_many_loads_run_at_once_and_no_more(test: TestStore) {
        let cache = process(&away(&test.store)).without_store(WithoutStore::Load { at_once: 2 });
        let running = Arc::new(AtomicU32::new(0));
        let callers: Vec<_> = (0..20).map(|number: u32| {
            let (cache, running) = (cache.clone(), running.clone());
            tokio::spawn(async move {
                let load = async || {
                    let others = running.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(others)
                };
                cache.get_or_set(&number.to_string(), load).await
            })
        }).collect();
        for caller in callers {
            assert!(caller.await?? < 2);
        }
    }

    /// Pages that are made of fragments: 64 pages held all permits, and each waited for one for its
    /// fragment, for ever.
    async fn a_load_within_a_load_needs_no_permit_of_its_own(test: TestStore) {
        let cache = process(&away(&test.store)).without_store(WithoutStore::Load { at_once: 1 });
        let load = async || {
            let deeper = async || Ok(cache.get_or_set("leaf", || async { Ok(1) }).await? + 1);
            Ok(cache.get_or_set("fragment", deeper).await? + 1)
        };
        assert_eq!(cache.get_or_set("page", load).await?, 3);
    }

    /// The fragment's leader is in no load, and waits for the permit that the page holds.
    async fn a_load_for_which_a_holder_of_a_permit_waits_needs_none(test: TestStore) {
        let cache = process(&away(&test.store)).without_store(WithoutStore::Load { at_once: 1 });
        let page = Arc::new(Notify::new());
        let holder = tokio::spawn({
            let (cache, page) = (cache.clone(), page.clone());
            async move {
                let load = async || {
                    page.notify_one();
                    // Until the fragment's leader waits for the permit.
                    while cache.stats().without_store < 2 {
                        tokio::task::yield_now().await;
                    }
                    let deeper = async || Ok(cache.get_or_set("leaf", needless).await? + 1);
                    Ok(cache.get_or_set("fragment", deeper).await? + 1)
                };
                cache.get_or_set("page", load).await
            }
        });
        page.notified().await;
        assert_eq!(cache.get_or_set("leaf", || async { Ok(1) }).await?, 1);
        assert_eq!(holder.await??, 3);
    }

    async fn who_waits_too_long_for_a_permit_is_told_so(test: TestStore) {
        let cache = process(&away(&test.store)).without_store(WithoutStore::Load { at_once: 1 });
        let begun = begin_load(&cache, "a", Keep::new()).await;
        let timed_out = cache.clone().wait(SHORT).get_or_set("b", needless).await;
        assert_eq!(timed_out, Err(Error::TimedOut { what: Awaited::Load, waited: SHORT }));
        assert_eq!(begun.finish(1).await?, 1);
    }

    async fn a_store_that_takes_no_writes_gives_what_it_has_and_the_rest_is_loaded(test: TestStore) {
        process(&test.store).set("kept", &1).await?;
        for refusal in ["OOM command not allowed", "READONLY You can't write", "MISCONF Errors writing"] {
            let store = faults(&test.store, move |command| match writes(command) {
                true => Fate::Refused(refusal),
                false => Fate::Fine,
            });
            let cache = process(&store);
            assert_eq!(cache.get_or_set("kept", needless).await?, 1);
            assert_eq!(cache.get_or_set_with("b", Keep::new().tag("red"), || async { Ok(2) }).await?, 2);
            assert_eq!(cache.get_or_load("b", |_| async { Ok(2) }).await?, 2);
            let set = cache.set("b", &1).await;
            assert!(matches!(set, Err(Error::Refused(_))), "{set:?}");
        }
    }

    async fn a_value_that_was_loaded_is_given_out_whatever_becomes_of_it(test: TestStore) {
        for at in 0..8 {
            for fate in [Fate::Away, Fate::Unanswered, Fate::Refused("OOM command not allowed")] {
                let mut count = 0;
                let store = faults(&test.store, move |_| {
                    count += 1;
                    if count > at { fate } else { Fate::Fine }
                });
                let cache = process(&store);
                let name = format!("{at}{fate:?}");
                let loading = cache.get_or_set_with(&name, Keep::new().tag("red"), || async { Ok(1) });
                assert_eq!(loading.await?, 1, "{name}");
            }
        }
    }

    /// The answer to a lookup that granted the lease was lost, and so nobody knew who had it.
    async fn a_lease_whose_grant_was_lost_is_taken_over_at_once(test: TestStore) {
        let mut is_lost = false;
        let store = faults(&test.store, move |command| {
            let is_first = !is_lost && command.name() == b"EVALSHA" && !command.to_string().contains("tag");
            is_lost |= is_first;
            if is_first { Fate::Unanswered } else { Fate::Fine }
        });
        // The script is known, so that the first call of it does not end in NOSCRIPT.
        process(&test.store).get_or_set("known", || async { Ok(1) }).await?;
        let cache = process(&store).lease(Duration::from_secs(3600)).wait(SHORT);
        assert_eq!(cache.get_or_set("a", || async { Ok(1) }).await?, 1);
        assert_eq!(cache.get("a").await?, None);
        assert_eq!(cache.get_or_set("a", || async { Ok(2) }).await?, 2);
        assert_eq!(cache.get("a").await?, Some(2));
    }

    /// Whoever came after a delete of another process was handed what its leader could not put.
    async fn a_value_that_could_not_be_kept_is_not_handed_to_who_came_late(test: TestStore) {
        let mut scripts = 0;
        // Lookup, version of the namespace, put.
        let store = faults(&test.store, move |command| {
            let is_script = command.name().starts_with(b"EVAL") && command.to_string().contains("cache:a}");
            scripts += u32::from(is_script);
            if is_script && scripts == 2 { Fate::Away } else { Fate::Fine }
        });
        process(&test.store).get_or_set("known", || async { Ok(1) }).await?;
        let cache = process(&store);
        let begun = begin_load(&cache, "a", Keep::new()).await;
        process(&test.store).delete("a").await?;
        let late = begin_wait(&cache, "a", 2).await;
        assert_eq!(begun.finish(1).await?, 1);
        assert_eq!(late.await??, 2);
    }

    async fn an_invalidation_needs_no_room_in_the_store(test: TestStore) {
        let store = faults(&test.store, |command| match command.name() {
            b"SET" | b"HSET" | b"EVAL" | b"EVALSHA" => Fate::Refused("OOM command not allowed"),
            _ => Fate::Fine,
        });
        let cache = process(&test.store);
        for (name, tag) in [("a", "red"), ("b", "blue"), ("c", "blue"), ("d", "blue")] {
            cache.set_with(name, &1, Keep::new().tag(tag)).await?;
        }
        let full = process(&store);
        full.invalidate_tags(["red"]).await?;
        assert!(full.delete("b").await?);
        assert_eq!(full.invalidate_matching("c").await?, 1);
        assert_eq!(cache.get_many(["a", "b", "c", "d"]).await, [Ok(None), Ok(None), Ok(None), Ok(Some(1))]);
        full.clear().await?;
        assert_eq!(cache.get("d").await?, None);
    }

    /// A walk finds what is there all the time. An entry that was put where the walk had been, while its
    /// lease was where the walk had not been yet, stayed.
    async fn a_walk_loses_no_entry_that_is_put_meanwhile(test: TestStore) {
        let cache = process(&test.store);
        let mut begun = Vec::new();
        for name in ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"] {
            begun.push(begin_load(&cache, name, Keep::new()).await);
        }
        // A load ends behind each step of the walk.
        let (ends, direct) = (Mutex::new(begun), process(&test.store));
        let store = Store::new(Stepping { store: test.store.clone(), ends });
        process(&store).invalidate_matching("a*").await?;

        let left = direct.get_many(["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"]).await;
        assert!(left.iter().all(|value| value == &Ok(None)), "{left:?}");
    }

    async fn a_tag_of_many_is_asked_for_once(test: TestStore) {
        let cache = process(&test.store);
        let values = (0..2500).map(|number: u32| (number.to_string(), number));
        for set in cache.set_many(values, Keep::new().tag("red")).await {
            set?;
        }
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let store = faults(&test.store, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Fate::Fine
        });
        let got = process(&store).get_many((0..2500).map(|number: u32| number.to_string())).await;
        assert!(got.iter().all(|value| matches!(value, Ok(Some(_)))));
        // Three chunks: each asks for the version of the namespace and for that of the tag.
        assert_eq!(asked.load(Ordering::SeqCst), 2500 + 3 * 2);
    }
}

/// A store that lets a load end after each step of a walk.
struct Stepping {
    store: Store,
    ends: Mutex<Vec<Begun>>,
}

impl Backend for Stepping {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        Answer::later(async move {
            let is_step = command.name() == b"SCAN";
            // One key in a step.
            let command = match is_step {
                true => Command::new("SCAN")
                    .args((1..4).filter_map(|at| command.arguments().get(at)))
                    .arg("COUNT")
                    .arg(1)
                    .on(command
                        .delivery()
                        .part
                        .as_ref()
                        .expect("a walk asks the parts")),
                false => command,
            };
            let answer = self.store.call(command).await;
            let next = is_step
                .then(|| self.ends.lock().expect("nobody panics").pop())
                .flatten();
            if let Some(begun) = next {
                let _ = begun.finish(1).await;
            }
            answer
        })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        self.store.call_all(commands)
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        self.store.subscribe(channels)
    }

    fn parts(&self) -> Answer<'_, Vec<Part>> {
        self.store.parts()
    }
}
