//! Messages: each once, in order, and none lost without a word.

use std::collections::BTreeSet;
use std::time::Duration;

use larder_testing::{Entry, Fault, History, Simulation, World};
use larder_toolkit::pubsub::{Event, PubSub, Subscription};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// What was published: by whom, and its number among what they published.
type Message = (String, u64);

/// What a subscription told, in order. `None` where something was lost.
type Heard = Vec<Option<Message>>;

fn faults() -> Vec<Fault> {
    [Fault::network(), Fault::refusals()].concat()
}

#[test]
fn a_message_comes_once_in_order_and_is_not_lost_without_a_word() {
    hear_all(Simulation::new().seeds(SEEDS).faults(faults()));
}

#[test]
fn no_message_is_lost_without_a_word_where_parts_go_away_and_slots_move() {
    let faults = [faults(), Fault::parts()].concat();
    hear_all(Simulation::new().seeds(SEEDS).parts(3).faults(faults));
}

fn hear_all(simulation: Simulation) {
    simulation.run(async |world| {
        let sent: History<Message, ()> = world.history();
        let mut readers = JoinSet::new();
        for process in PROCESSES {
            let Ok(subscription) = channels(&world, process).subscribe("news").await else {
                continue;
            };
            readers.spawn(read(world.clone(), process, subscription));
        }
        let mut writers = JoinSet::new();
        for process in PROCESSES {
            writers.spawn(write(world.clone(), process, sent.clone()));
        }
        writers.join_all().await;
        world.calm().await;
        for heard in readers.join_all().await {
            check(&heard, &sent.entries());
        }
        Ok(())
    });
}

fn channels(world: &World, process: &str) -> PubSub {
    PubSub::new(&world.store(process), "shop").buffer(4.try_into().unwrap())
}

async fn write(world: World, process: &str, sent: History<Message, ()>) {
    let (mut chance, channels) = (world.chance(process), channels(&world, process));
    for number in 0..20 {
        sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(50)))).await;
        let message = (process.to_owned(), number);
        let asked = sent.ask(process, message.clone());
        if channels.publish("news", &message).await.is_ok() {
            asked.answer(());
        }
    }
}

/// Reads until nothing comes any more, now and then slower than it comes.
async fn read(world: World, process: &str, mut subscription: Subscription<Message>) -> Heard {
    let mut chance = world.chance(&format!("{process} reads"));
    let mut heard = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(60), subscription.next()).await {
        heard.push(match event {
            Event::Message { body, .. } => Some(body),
            Event::Lagged(_) | Event::Gap => None,
            other => panic!("{other:?}"),
        });
        if chance.one_in(10) {
            sleep(Duration::from_millis(500)).await;
        }
    }
    heard
}

fn check(heard: &Heard, sent: &[Entry<Message, ()>]) {
    let all: Vec<&Message> = heard.iter().flatten().collect();
    let distinct: BTreeSet<&Message> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "a message came twice: {heard:?}");

    // What was not answered may come late, and between any others.
    let certain = |by: &str| -> Vec<u64> {
        let of_one = sent
            .iter()
            .filter(|entry| entry.asked.0 == by && entry.ended.is_some());
        of_one.map(|entry| entry.asked.1).collect()
    };
    for process in PROCESSES {
        let certain = certain(process);
        for stretch in heard.split(Option::is_none) {
            let numbers = stretch.iter().flatten().filter(|(by, _)| by == process);
            let numbers: Vec<u64> = { numbers.map(|(_, number)| *number) }
                .filter(|number| certain.contains(number))
                .collect();
            let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
                continue;
            };
            let between = certain
                .iter()
                .filter(|number| (first..=last).contains(number));
            let between: Vec<u64> = between.copied().collect();
            assert_eq!(
                numbers, between,
                "{process}: out of order, or lost without a word"
            );
        }
    }
}
