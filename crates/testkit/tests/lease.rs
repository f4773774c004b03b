//! Topologies are lent to one test at a time, empty and in order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use larder_resp::Frame;
use larder_store::slot;
use larder_testkit::{Cluster, Lease, Sentinels, ServerKind, lend};

#[test]
fn a_cluster_is_lent_to_one_at_a_time() {
    static USERS: AtomicUsize = AtomicUsize::new(0);
    let take_turns = || {
        for _ in 0..3 {
            let Some(lease) = lend::<Cluster>(ServerKind::Redis) else {
                return;
            };
            // Only a shelf of this process has one of them.
            if std::env::var_os("LARDER_TEST_TOPOLOGIES").is_none() {
                assert_eq!(USERS.fetch_add(1, Ordering::SeqCst), 0);
                // Long enough for another to come in, were the door open.
                assert!(lease.topology.is_settled());
                USERS.fetch_sub(1, Ordering::SeqCst);
            }
            drop(lease);
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(take_turns))));
}

#[test]
fn what_a_test_leaves_in_a_cluster_the_next_does_not_find() {
    let Some(lease) = lend::<Cluster>(ServerKind::Redis) else {
        return;
    };
    leave_things_behind(lease);
    let lease: Lease<Cluster> = lend(ServerKind::Redis).unwrap();
    let cluster = &lease.topology;
    assert!(cluster.is_settled());
    assert_eq!(cluster.crossslots(), 0);
    for node in &cluster.nodes {
        assert_eq!(node.run(&["DBSIZE"]), Frame::Integer(0));
        let exists = node.run(&["SCRIPT", "EXISTS", DIGEST]);
        assert_eq!(exists, Frame::Array(vec![Frame::Integer(0)]));
    }
}

/// That of `return 1`.
const DIGEST: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

/// Keys, a script, an error that is counted, another master, and a slot on its way.
fn leave_things_behind(lease: Lease<Cluster>) {
    let cluster = &lease.topology;
    let master = cluster.failover(cluster.owner(slot(b"a")));
    let node = &cluster.nodes[master];
    node.run(&["SET", "a", "x"]);
    node.run(&["SCRIPT", "LOAD", "return 1"]);
    node.ask(&["MGET", "a", "b"]);
    let other = cluster
        .masters()
        .into_iter()
        .find(|other| *other != master)
        .unwrap();
    let migration = cluster.begin_migration(slot(b"a"), other);
    cluster.move_keys(&migration, 1);
}

/// A test that made a store full left it so to all that came after it.
#[test]
fn what_a_test_sets_a_server_to_the_next_does_not_find() {
    let Some(lease) = lend::<Sentinels>(ServerKind::Redis) else {
        return;
    };
    let master = &lease.topology.nodes[lease.topology.master()];
    master.run(&["CONFIG", "SET", "maxmemory", "1"]);
    master.run(&["ACL", "SETUSER", "ann", "on", ">secret", "+get"]);
    master.run(&["ACL", "SETUSER", "default", "-flushall"]);
    drop(lease);
    let lease: Lease<Sentinels> = lend(ServerKind::Redis).unwrap();
    for node in &lease.topology.nodes {
        let limit = node.run(&["CONFIG", "GET", "maxmemory"]);
        let text = |text: &str| Frame::Bulk(text.into());
        assert_eq!(limit, Frame::Array(vec![text("maxmemory"), text("0")]));
        assert_eq!(
            node.run(&["ACL", "USERS"]),
            Frame::Array(vec![text("default")])
        );
        let may_flush = node.run(&["ACL", "DRYRUN", "default", "FLUSHALL"]);
        assert_eq!(may_flush, Frame::Status("OK".into()));
    }
}

#[test]
fn sentinels_are_lent_with_an_empty_master() {
    let Some(lease) = lend::<Sentinels>(ServerKind::Redis) else {
        return;
    };
    let master = lease.topology.failover();
    lease.topology.nodes[master].run(&["SET", "a", "x"]);
    drop(lease);
    let lease: Lease<Sentinels> = lend(ServerKind::Redis).unwrap();
    assert!(lease.topology.is_settled());
    for node in &lease.topology.nodes {
        assert_eq!(node.run(&["DBSIZE"]), Frame::Integer(0));
    }
}

#[test]
#[should_panic(expected = "start a topology for that")]
fn a_node_that_is_lent_can_not_be_killed() {
    let Some(mut lease) = lend::<Sentinels>(ServerKind::Redis) else {
        panic!("start a topology for that")
    };
    lease.topology.nodes[0].kill();
}
