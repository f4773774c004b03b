//! Sessions: none is lost, none comes back, and what was answered is in them, once.

use std::time::Duration;

use larder_store::Error;
use larder_testing::{Chance, Fault, History, Simulation, World, dropped_at};
use larder_toolkit::session::Sessions;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::SEEDS;

const PROCESSES: [&str; 3] = ["ann", "bob", "cid"];

/// What takes no session away: the store keeps what it has acknowledged.
fn harmless() -> Vec<Fault> {
    [Fault::network(), Fault::refusals()].concat()
}

/// A store of one part.
fn one_part() -> Simulation {
    Simulation::new().seeds(SEEDS).faults(harmless())
}

#[test]
fn sessions_keep_their_laws_where_parts_go_away_and_slots_move() {
    for law in [change_and_rotate, save_and_log_in, log_in_and_out] {
        let faults = [harmless(), Fault::parts()].concat();
        law(Simulation::new().seeds(SEEDS / 2).parts(3).faults(faults));
    }
}

/// A session holds the numbers of the changes that were made to it.
fn sessions(world: &World, process: &str) -> Sessions<Vec<u64>> {
    let store = world.store(process);
    // So long that a token in doubt is still followed when all has gone quiet.
    Sessions::new(&store, "shop").rotate_grace(Duration::from_secs(3600))
}

/// Awaits a future, or drops it somewhere, as callers do who go away.
async fn maybe_dropped<T>(
    chance: &mut Chance,
    future: impl Future<Output = Result<T, Error>>,
) -> Option<Result<T, Error>> {
    let patience = match chance.one_in(4) {
        true => chance.below(12) as usize + 1,
        false => usize::MAX,
    };
    dropped_at(patience, future).await
}

/// What is known of the changes: by whom, with which number, and whether it was made.
type Changes = History<u64, bool>;

/// Changes a session. What is in doubt has no answer.
async fn change(
    sessions: &Sessions<Vec<u64>>,
    (process, token): (&str, &str),
    changes: &Changes,
    chance: &mut Chance,
) {
    let number = chance.number() >> 1;
    let asked = changes.ask(process, number);
    let update = sessions.update(token, |data| data.push(number));
    match maybe_dropped(chance, update).await {
        Some(Ok(_)) => asked.answer(true),
        Some(Err(error)) if !error.is_in_doubt() => asked.answer(false),
        _ => {}
    }
}

/// What was made is there once, what was not is not, and what is in doubt is there once or not.
fn check_changes(changes: &Changes, data: &[u64]) {
    for change in changes.entries() {
        let times = data
            .iter()
            .filter(|number| **number == change.asked)
            .count();
        match change.answer() {
            Some(true) => assert_eq!(times, 1, "made, and lost or made twice: {change:?}"),
            Some(false) => assert_eq!(times, 0, "failed, and was made: {change:?}"),
            None => assert!(times <= 1, "made twice: {change:?}"),
        }
    }
}

#[test]
fn each_change_is_made_once_and_each_token_leads_on() {
    change_and_rotate(one_part());
}

fn change_and_rotate(simulation: Simulation) {
    simulation.run(async |world| {
        let calm = Sessions::<Vec<u64>>::new(&world.without_faults(), "shop");
        let first = calm.create("ann", Vec::new()).await?.token().to_owned();
        let changes: Changes = world.history();
        let mut tasks = JoinSet::new();
        for process in PROCESSES {
            let (world, changes) = (world.clone(), changes.clone());
            let mut token = first.clone();
            tasks.spawn(async move {
                let sessions = sessions(&world, process);
                let mut chance = world.chance(process);
                for _ in 0..5 {
                    sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(50)))).await;
                    if chance.one_in(3) {
                        let rotation = sessions.rotate(&token);
                        if let Some(Ok(rotated)) = maybe_dropped(&mut chance, rotation).await {
                            rotated
                                .expect("it has not ended")
                                .token()
                                .clone_into(&mut token);
                        }
                    } else {
                        change(&sessions, (process, &token), &changes, &mut chance).await;
                    }
                }
                token
            });
        }
        let mut tokens = vec![first];
        while let Some(token) = tasks.join_next().await {
            tokens.push(token?);
        }
        world.calm().await;

        let mut held = Vec::new();
        for token in tokens {
            let session = calm.load(&token).await?;
            held.push(session.expect("its token is lost"));
        }
        assert!(held.windows(2).all(|two| two[0].token() == two[1].token()));
        check_changes(&changes, &held[0].data);
        Ok(())
    });
}

#[test]
fn a_login_has_what_was_saved_before_it_however_often_it_is_tried() {
    save_and_log_in(one_part());
}

fn save_and_log_in(simulation: Simulation) {
    simulation.run(async |world| {
        let calm = Sessions::<Vec<u64>>::new(&world.without_faults(), "shop");
        let visit = calm.create_anonymous(Vec::new()).await?.token().to_owned();
        let changes: Changes = world.history();
        let mut tasks = JoinSet::new();
        for process in PROCESSES {
            let (world, changes, visit) = (world.clone(), changes.clone(), visit.clone());
            tasks.spawn(async move {
                let sessions = sessions(&world, process);
                let mut chance = world.chance(process);
                let mut token = None;
                for _ in 0..5 {
                    sleep(chance.time(&(Duration::ZERO..=Duration::from_millis(50)))).await;
                    if chance.one_in(2) {
                        change(&sessions, (process, &visit), &changes, &mut chance).await;
                    } else {
                        let login = sessions.log_in(&visit, "ann");
                        if let Some(Ok(session)) = maybe_dropped(&mut chance, login).await {
                            token = Some(session.token().to_owned());
                        }
                    }
                }
                token
            });
        }
        let mut logins = Vec::new();
        while let Some(token) = tasks.join_next().await {
            logins.extend(token?);
        }
        world.calm().await;

        let session = calm.log_in(&visit, "ann").await?;
        assert_eq!(session.user(), Some("ann"));
        assert!(logins.iter().all(|login| login == session.token()));
        assert!(calm.load(&visit).await?.is_none());
        check_changes(&changes, &session.data);
        Ok(())
    });
}

/// Something that makes or ends sessions.
#[derive(Clone, Debug)]
enum Asked {
    Create,
    End(String),
    EndAll,
}

/// A request to make a session was sent again when its answer did not come. The first one, that was
/// late, then made the session anew after its user had logged out everywhere.
#[test]
fn no_session_comes_back_and_none_is_lost() {
    log_in_and_out(one_part());
}

fn log_in_and_out(simulation: Simulation) {
    simulation.run(async |world| {
        let told: History<Asked, String> = world.history();
        let mut tasks = JoinSet::new();
        for process in PROCESSES {
            tasks.spawn(come_and_go(world.clone(), process, told.clone()));
        }
        while let Some(done) = tasks.join_next().await {
            done?;
        }
        world.calm().await;
        check_ends(&world, &told).await
    });
}

/// Logs in, does something, and logs out, or everybody.
async fn come_and_go(world: World, process: &'static str, told: History<Asked, String>) {
    let sessions = sessions(&world, process);
    let mut chance = world.chance(process);
    for _ in 0..5 {
        let asked = told.ask(process, Asked::Create);
        let create = sessions.create("ann", Vec::new());
        let Some(Ok(session)) = maybe_dropped(&mut chance, create).await else {
            continue;
        };
        let token = session.token().to_owned();
        asked.answer(token.clone());
        let change = sessions.update(&token, |data| data.push(1));
        // Whatever becomes of it, it makes no session.
        let _ = maybe_dropped(&mut chance, change).await;
        if chance.one_in(3) {
            let asked = told.ask(process, Asked::EndAll);
            if let Some(Ok(_)) = maybe_dropped(&mut chance, sessions.destroy_all("ann")).await {
                asked.answer(String::new());
            }
        } else if chance.one_in(2) {
            let asked = told.ask(process, Asked::End(token.clone()));
            if let Some(Ok(_)) = maybe_dropped(&mut chance, sessions.destroy(&token)).await {
                asked.answer(token);
            }
        }
    }
}

async fn check_ends(
    world: &World,
    told: &History<Asked, String>,
) -> Result<(), Box<dyn std::error::Error>> {
    let calm = Sessions::<Vec<u64>>::new(&world.without_faults(), "shop");
    let told = told.entries();
    for made in told
        .iter()
        .filter(|entry| matches!(entry.asked, Asked::Create))
    {
        let Some(token) = made.answer() else { continue };
        let ends = told.iter().filter(|end| match &end.asked {
            Asked::Create => false,
            Asked::End(ended) => ended == token,
            Asked::EndAll => !end.is_before(made),
        });
        let ends: Vec<_> = ends.collect();
        let is_there = calm.load(token).await?.is_some();
        let has_ended =
            |end: &&larder_testing::Entry<_, _>| end.answer().is_some() && made.is_before(end);
        if ends.iter().any(|end| has_ended(&&**end)) {
            assert!(!is_there, "it came back: {made:?}, {ends:?}");
        }
        assert!(is_there || !ends.is_empty(), "it is lost: {made:?}");
    }
    Ok(())
}

/// Dropped at every await, with nothing else that goes wrong.
#[test]
fn a_change_of_its_token_that_is_dropped_anywhere_loses_no_session() {
    Simulation::new().run(async |world| {
        let sessions = sessions(&world, "ann");
        for n in 1.. {
            let first = sessions.create("ann", vec![7]).await?;
            let rotated = dropped_at(n, sessions.rotate(first.token())).await;
            world.settled().await;
            let session = sessions.load(first.token()).await?;
            assert_eq!(
                session.map(|session| session.data),
                Some(vec![7]),
                "dropped at {n}"
            );

            let visit = sessions.create_anonymous(vec![7]).await?;
            let login = dropped_at(n, sessions.log_in(visit.token(), "ann")).await;
            world.settled().await;
            let session = sessions.log_in(visit.token(), "ann").await?;
            assert_eq!(session.data, [7], "dropped at {n}");
            if rotated.is_some() && login.is_some() {
                return Ok(());
            }
        }
        Ok(())
    });
}

#[test]
fn a_save_that_is_dropped_anywhere_can_be_made_again() {
    Simulation::new().run(async |world| {
        let sessions = sessions(&world, "ann");
        let mut session = sessions.create("ann", Vec::new()).await?;
        for n in 1.. {
            session.data.push(n as u64);
            let done = dropped_at(n, sessions.save(&mut session)).await.is_some();
            world.settled().await;
            sessions.save(&mut session).await?;
            let now = sessions.load(session.token()).await?;
            assert_eq!(
                now.map(|now| now.data).as_ref(),
                Some(&session.data),
                "dropped at {n}"
            );
            if done {
                return Ok(());
            }
        }
        Ok(())
    });
}
