//! What only topologies do, on a memory store that is spread over parts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use larder_store::{Error, Store};
use larder_testing::{Fault, Plan, Simulation, World, simulate};
use larder_testkit::words;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const KEYS: u32 = 200;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs a test on a store of three parts.
fn on_three_parts(test: impl AsyncFn(World) -> Outcome + Sync) {
    Simulation::new().seeds(20).parts(3).run(test);
}

async fn fill(store: &Store) -> Result<(), Error> {
    for number in 0..KEYS {
        store.set(format!("key:{number}"), "x").await?;
    }
    Ok(())
}

/// Which of the keys can be had.
async fn there(store: &Store) -> BTreeSet<u32> {
    let mut there = BTreeSet::new();
    for number in 0..KEYS {
        match store.get(format!("key:{number}")).await {
            Ok(_) => drop(there.insert(number)),
            Err(error) => assert!(error.is_away(), "{error}"),
        }
    }
    there
}

#[test]
fn a_part_that_is_away_takes_its_keys_along_and_no_others() {
    on_three_parts(async |world| {
        let store = world.store("a");
        fill(&store).await?;
        world.happen(Fault::PartAway(SECOND)).await?;
        let left = there(&store).await;
        assert!(!left.is_empty() && left.len() < KEYS as usize, "{left:?}");

        // Each command of a batch has the answer of its own part.
        let batch = (0..KEYS).map(|number| words(&format!("GET key:{number}")));
        let answers = store.call_all(batch.collect()).await?;
        for (number, answer) in (0..KEYS).zip(answers) {
            assert_eq!(answer.is_ok(), left.contains(&number), "{number}");
        }
        world.pass(SECOND).await;
        assert_eq!(there(&store).await.len(), KEYS as usize);
        Ok(())
    });
}

#[test]
fn all_parts_come_back_when_a_world_calms_down() {
    on_three_parts(async |world| {
        let store = world.store("a");
        fill(&store).await?;
        world.happen(Fault::PartAway(SECOND * 3600)).await?;
        world.calm().await;
        assert_eq!(there(&store).await.len(), KEYS as usize);
        Ok(())
    });
}

#[test]
fn keys_in_different_slots_are_refused_as_on_a_cluster() {
    on_three_parts(async |world| {
        let store = world.store("a");
        for line in ["MSET a 1 b 2", "RENAME a b"] {
            let error = store.call(words(line)).await.unwrap_err();
            assert!(error.to_string().contains("CROSSSLOT"), "{error}");
        }
        let batch = ["MULTI", "SET a 1", "SET b 1", "EXEC"].map(words);
        let error = store.call_all(batch.to_vec()).await;
        assert!(error.is_err() || error.unwrap().iter().all(Result::is_err));
        assert_eq!(store.get("a").await?, None);
        store.run::<()>(words("MSET {x}a 1 {x}b 2")).await?;
        Ok(())
    });
}

#[test]
fn what_is_about_one_part_has_to_say_which() {
    on_three_parts(async |world| {
        let store = world.store("a");
        fill(&store).await?;
        let error = store.call(words("DBSIZE")).await.unwrap_err();
        assert!(error.to_string().contains("`Command::on`"), "{error}");
        let parts = store.parts().await?;
        assert_eq!(parts.len(), 3);
        let mut sum = 0;
        for part in &parts {
            let keys: u32 = store.run(words("DBSIZE").on(part)).await?;
            assert!(keys > 0, "{part:?}");
            sum += keys;
        }
        assert_eq!(sum, KEYS);
        store.run::<()>(words("FLUSHDB").on(&parts[0])).await?;
        assert!(
            (1..KEYS as usize).contains(
                &world
                    .without_faults()
                    .scan("*")
                    .next()
                    .await
                    .unwrap()?
                    .len()
            )
        );
        Ok(())
    });
}

#[test]
fn a_slot_on_its_way_is_nothing_but_a_delay_for_single_keys() {
    let slow = Plan::new().latency(SECOND / 100..=SECOND / 100);
    Simulation::new().parts(3).plan(slow).run(async |world| {
        let store = world.store("a");
        store.set("{x}a", "1").await?;
        let took = async |store: &Store| -> Result<Duration, Error> {
            let began = Instant::now();
            store.incr("{x}a").await?;
            Ok(began.elapsed())
        };
        let before = took(&store).await?;
        world.happen(Fault::MoveSlot(SECOND)).await?;
        assert!(took(&store).await? > before);
        world.pass(SECOND).await;
        assert_eq!(took(&store).await?, before);
        Ok(())
    });
}

#[test]
fn a_command_of_several_keys_is_refused_while_their_slot_is_on_its_way() {
    on_three_parts(async |world| {
        let store = world.store("a");
        store.run::<()>(words("MSET {x}a 1 {x}b 2")).await?;
        world.happen(Fault::MoveSlot(SECOND)).await?;
        let error = store.call(words("MGET {x}a {x}b")).await.unwrap_err();
        assert!(error.is_refusal("TRYAGAIN"), "{error}");
        world.pass(SECOND).await;
        store.call(words("MGET {x}a {x}b")).await?;

        // One that arrives soon is waited for.
        world.happen(Fault::MoveSlot(SECOND / 10)).await?;
        store.call(words("MGET {x}a {x}b")).await?;
        Ok(())
    });
}

#[test]
fn a_walk_passes_over_no_key_whose_slot_moves_meanwhile() {
    on_three_parts(async |world| {
        let store = world.store("a");
        fill(&store).await?;
        let mut found = BTreeSet::new();
        let mut pages = store.scan("key:*");
        let mut moves = 0;
        while let Some(page) = pages.next().await {
            found.extend(page?);
            if moves < 5 {
                world.happen(Fault::MoveSlot(Duration::ZERO)).await?;
                moves += 1;
            }
        }
        assert_eq!(found.len(), KEYS as usize);
        Ok(())
    });
}

#[test]
fn a_store_that_is_not_spread_has_no_part_to_lose() {
    simulate(async |world| {
        for fault in Fault::parts() {
            let error = world.happen(fault).await.unwrap_err().to_string();
            assert!(error.contains("`Simulation::parts`"), "{error}");
        }
        Ok(())
    });
}
