//! What goes wrong.

use std::thread::sleep;
use std::time::{Duration, Instant};

use larder_store::slot;
use larder_testing::Chance;
use larder_testkit::{
    Cluster, ClusterOptions, Direction, Proxy, Sentinels, Server, ServerKind, until,
};

use crate::load::counter;
use crate::run::{Allowed, Breaker, run};
use crate::seconds;

/// What a failover may cost: writes that had not reached the replica.
const FAILOVER: Allowed = Allowed {
    losses: true,
    breaker: Breaker::Opens,
    failures: true,
    disorder: false,
};

/// Nothing is lost, and nobody notices.
const NOTHING: Allowed = Allowed {
    losses: false,
    breaker: Breaker::Any,
    failures: false,
    disorder: false,
};

/// How long one may take to see who the master is.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_master_of_sentinels_is_killed() {
    let Some(mut sentinels) = Sentinels::start(ServerKind::Redis) else {
        return;
    };
    let url = sentinels.url();
    run(
        "Sentinel: master killed",
        &url,
        FAILOVER,
        move |marks, _| {
            let old = sentinels.master();
            marks.fault();
            sentinels.nodes[old].kill();
            until("another is the master", PATIENCE, || {
                sentinels.master() != old
            });
            marks.known();
            sentinels
        },
    );
}

/// It goes on as if no time had passed, and takes itself for the master for a while.
#[test]
fn a_master_of_sentinels_is_stopped_and_goes_on() {
    let Some(mut sentinels) = Sentinels::start(ServerKind::Redis) else {
        return;
    };
    let url = sentinels.url();
    run(
        "Sentinel: master stopped, goes on",
        &url,
        FAILOVER,
        move |marks, _| {
            let old = sentinels.master();
            marks.fault();
            sentinels.nodes[old].pause();
            until("another is the master", PATIENCE, || {
                sentinels.master() != old
            });
            marks.known();
            sleep(seconds() / 4);
            sentinels.nodes[old].resume();
            sentinels.settle();
            sentinels
        },
    );
}

#[test]
fn a_sentinel_is_killed_and_comes_back() {
    let Some(mut sentinels) = Sentinels::start(ServerKind::Redis) else {
        return;
    };
    sentinels.be_patient();
    let url = sentinels.url();
    run(
        "Sentinel: one Sentinel killed",
        &url,
        NOTHING,
        move |marks, _| {
            marks.fault();
            sentinels.sentinels[0].kill();
            sleep(seconds() / 4);
            sentinels.sentinels[0].restart();
            sentinels
        },
    );
}

#[test]
fn a_master_of_a_cluster_is_killed() {
    let Some(mut cluster) = Cluster::start(ServerKind::Redis) else {
        return;
    };
    let url = cluster.url();
    let allowed = Allowed {
        disorder: true,
        ..FAILOVER
    };
    run("Cluster: master killed", &url, allowed, move |marks, _| {
        let old = cluster.owner(slot(counter(0).as_bytes()));
        let replica = cluster.replicas(old)[0];
        marks.fault();
        cluster.nodes[old].kill();
        until("its replica is a master", PATIENCE, || {
            cluster.masters().contains(&replica)
        });
        marks.known();
        cluster
    });
}

#[test]
fn slots_move_back_and_forth() {
    // On a busy machine a master that is held to have failed would be another scenario.
    let options = ClusterOptions {
        lines: &["cluster-node-timeout 8000"],
        ..ClusterOptions::default()
    };
    let Some(cluster) = Cluster::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let url = cluster.url();
    run("Cluster: slots move", &url, NOTHING, move |marks, seed| {
        let mut chance = Chance::of(seed, "slots");
        let slots = slots_under_load();
        marks.fault();
        let begun = Instant::now();
        while begun.elapsed() < seconds() * 3 / 4 {
            let (Some(slot), Some(to)) = (
                chance.pick(&slots),
                chance.pick(&cluster.masters()).copied(),
            ) else {
                break;
            };
            if cluster.owner(*slot) == to {
                continue;
            }
            let migration = cluster.begin_migration(*slot, to);
            sleep(Duration::from_millis(chance.below(50)));
            while cluster.move_keys(&migration, 5) > 0 {
                sleep(Duration::from_millis(chance.below(5)));
            }
            cluster.finish_migration(migration);
        }
        assert_eq!(cluster.crossslots(), 0);
        cluster
    });
}

/// Slots in which there are keys of the load: counters, the board, jobs, a channel, and locks.
fn slots_under_load() -> Vec<u16> {
    let mut slots: Vec<u16> = (0..3)
        .map(|number| slot(counter(number).as_bytes()))
        .collect();
    slots.extend(
        [
            "storm:leaderboard:board",
            "storm:stream:jobs",
            "storm:lock:lock-0",
            "storm:lock:lock-1",
            "storm:cache:1",
        ]
        .map(|tag| slot(format!("{{{tag}}}").as_bytes())),
    );
    slots
}

/// As one does who operates a cluster: a master hands its slots over before.
#[test]
fn nodes_of_a_cluster_are_restarted_one_after_the_other() {
    let Some(mut cluster) = Cluster::start(ServerKind::Redis) else {
        return;
    };
    let url = cluster.url();
    let allowed = Allowed {
        losses: false,
        breaker: Breaker::Any,
        failures: true,
        disorder: true,
    };
    run(
        "Cluster: nodes restarted in turn",
        &url,
        allowed,
        move |marks, _| {
            // All of them take longer than a short run does.
            let count = if seconds() < Duration::from_secs(10) {
                2
            } else {
                6
            };
            marks.fault();
            for place in 0..count {
                if cluster.masters().contains(&place) {
                    cluster.failover(place);
                }
                cluster.nodes[place].restart();
                cluster.settle();
            }
            marks.known();
            cluster
        },
    );
}

#[test]
fn the_way_to_a_server_is_bad() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let proxy = Proxy::before(server.port());
    let url = proxy.url();
    let allowed = Allowed {
        losses: false,
        breaker: Breaker::Any,
        failures: true,
        disorder: false,
    };
    run(
        "standalone: a bad network",
        &url,
        allowed,
        move |marks, seed| {
            let mut chance = Chance::of(seed, "network");
            marks.fault();
            let begun = Instant::now();
            while begun.elapsed() < seconds() * 3 / 4 {
                hurt(&proxy, &mut chance);
                sleep(Duration::from_millis(50 + chance.below(150)));
            }
            heal(&proxy);
            marks.known();
            (server, proxy)
        },
    );
}

fn hurt(proxy: &Proxy, chance: &mut Chance) {
    heal(proxy);
    let ms = |most, chance: &mut Chance| Duration::from_millis(chance.below(most));
    match chance.below(8) {
        0 => proxy.delay(Direction::Answers, ms(100, chance)),
        1 => proxy.delay(Direction::Requests, ms(400, chance)),
        2 => proxy.throttle(Some(20_000)),
        3 => proxy.truncate_answer(chance.below(10) as usize),
        4 => proxy.cut(),
        5 => proxy.cut_after(chance.below(100) as usize),
        6 => proxy.black_hole(true),
        _ => proxy.turn_away(true),
    }
}

fn heal(proxy: &Proxy) {
    proxy.black_hole(false);
    proxy.turn_away(false);
    proxy.throttle(None);
    proxy.delay(Direction::Answers, Duration::ZERO);
    proxy.delay(Direction::Requests, Duration::ZERO);
}

/// Without a replica and a disk everything is lost with it.
#[test]
fn a_server_is_killed_and_comes_back_empty() {
    let Some(mut server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let url = server.url();
    let allowed = Allowed {
        breaker: Breaker::OpensAndCloses,
        ..FAILOVER
    };
    run(
        "standalone: killed, comes back",
        &url,
        allowed,
        move |marks, _| {
            marks.fault();
            server.kill();
            sleep(seconds() / 4);
            server.restart();
            marks.known();
            server
        },
    );
}
