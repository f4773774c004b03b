//! The clusters that tests run on do what they are told to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod both;

use std::time::Duration;

use both::both;
use larder_resp::Frame;
use larder_store::slot;
use larder_testkit::{Cluster, ClusterOptions, Conversation, Node, until};

/// The slot of keys with the tag `{a}`.
fn slot_of_a() -> u16 {
    slot(b"{a}")
}

/// Somebody other than this.
fn another(cluster: &Cluster, master: usize) -> usize {
    cluster
        .masters()
        .into_iter()
        .find(|other| *other != master)
        .unwrap()
}

/// The first word of an error.
fn code(answer: Frame) -> String {
    match answer {
        Frame::Error(error) => error.split(' ').next().unwrap().to_owned(),
        other => panic!("no error: {other:?}"),
    }
}

both! {
    fn a_cluster_has_three_masters_with_a_replica_each_and_every_slot(kind) {
        let Some(cluster) = Cluster::start(kind) else { return };
        assert_eq!(cluster.masters(), [0, 1, 2]);
        for master in cluster.masters() {
            assert_eq!(cluster.replicas(master), [master + 3]);
        }
        assert_eq!([0, 5460, 5461, 16383].map(|slot| cluster.owner(slot)), [0, 0, 1, 2]);
        let ports: Vec<_> = cluster.nodes[..3].iter().map(Node::address).collect();
        assert_eq!(cluster.url(), format!("redis-cluster://{}", ports.join(",")));
        for node in &cluster.nodes {
            let Frame::Array(shards) = node.run(&["CLUSTER", "SLOTS"]) else { panic!("no array") };
            for shard in shards {
                let Frame::Array(shard) = shard else { panic!("no array") };
                assert_eq!(shard.len(), 4, "first, last, a master and a replica: {shard:?}");
            }
        }
    }

    fn a_slot_is_moved_with_its_keys_and_a_test_can_stand_in_the_middle(kind) {
        let options = ClusterOptions { password: Some("secret"), ..ClusterOptions::default() };
        let Some(cluster) = Cluster::start_with(kind, &options) else { return };
        let from = cluster.owner(slot_of_a());
        let to = another(&cluster, from);
        let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
        for number in 0..250 {
            source.run(&["SET", &format!("{{a}}{number}"), "x"]);
        }
        source.run(&["MSET", "{a}here", "1", "{a}gone", "2"]);
        assert_eq!(code(target.ask(&["GET", "{a}here"])), "MOVED");

        let migration = cluster.begin_migration(slot_of_a(), to);
        assert_eq!(source.run(&["GET", "{a}gone"]), Frame::Bulk(b"2".to_vec()));
        cluster.move_these(&migration, &["{a}gone"]);
        assert_eq!(code(source.ask(&["GET", "{a}gone"])), "ASK");
        assert_eq!(code(source.ask(&["MGET", "{a}here", "{a}gone"])), "TRYAGAIN");
        assert_eq!(source.run(&["GET", "{a}here"]), Frame::Bulk(b"1".to_vec()));
        let mut asking = target.connect().unwrap();
        asking.ask(&["ASKING"]).unwrap();
        assert_eq!(asking.ask(&["GET", "{a}gone"]).unwrap(), Frame::Bulk(b"2".to_vec()));
        assert_eq!(cluster.move_keys(&migration, 10), 10);
        assert!(!cluster.is_settled());

        cluster.finish_migration(migration);
        assert_eq!(cluster.owner(slot_of_a()), to);
        assert_eq!(target.run(&["DBSIZE"]), Frame::Integer(252));
        assert_eq!(source.run(&["DBSIZE"]), Frame::Integer(0));
        assert_eq!(code(source.ask(&["GET", "{a}here"])), "MOVED");
        cluster.migrate(slot_of_a(), from);
        assert_eq!(cluster.owner(slot_of_a()), from);
        assert_eq!(source.run(&["DBSIZE"]), Frame::Integer(252));
    }

    fn a_master_hands_over_or_is_replaced_when_it_is_killed_or_hangs(kind) {
        let Some(mut cluster) = Cluster::start(kind) else { return };
        let first = cluster.owner(slot_of_a());
        cluster.nodes[first].run(&["SET", "{a}", "x"]);
        let second = cluster.failover(first);
        assert_eq!(cluster.owner(slot_of_a()), second);
        assert_eq!(cluster.nodes[second].run(&["GET", "{a}"]), Frame::Bulk(b"x".to_vec()));

        assert_eq!(cluster.failover_by_killing(second), first);
        assert_eq!(cluster.owner(slot_of_a()), first);
        assert!(!cluster.nodes[second].is_reachable());
        cluster.nodes[second].restart();
        cluster.settle();
        assert_eq!(cluster.replicas(first), [second]);

        // One that hangs believes that it leads until it is told otherwise.
        cluster.nodes[first].pause();
        until("another leads", Duration::from_secs(20), || cluster.owner(slot_of_a()) == second);
        cluster.nodes[first].resume();
        cluster.settle();
        assert_eq!(cluster.replicas(second), [first]);
    }

    fn all_nodes_are_restarted_one_after_another_and_no_key_is_lost(kind) {
        let Some(mut cluster) = Cluster::start(kind) else { return };
        let owner = cluster.owner(slot_of_a());
        cluster.nodes[owner].run(&["SET", "{a}", "x"]);
        let processes = |cluster: &Cluster| -> Vec<u64> {
            cluster.nodes.iter().map(|node| node.figure("server", "process_id")).collect()
        };
        let before = processes(&cluster);
        let mut restarted = Vec::new();
        cluster.rolling_restart(|_, node| restarted.push(node));
        assert_eq!(restarted, [0, 1, 2, 3, 4, 5]);
        assert!(before.iter().zip(processes(&cluster)).all(|(before, after)| *before != after));
        let owner = cluster.owner(slot_of_a());
        assert_eq!(cluster.nodes[owner].run(&["GET", "{a}"]), Frame::Bulk(b"x".to_vec()));
    }

    fn clients_come_by_proxies_if_a_cluster_has_them(kind) {
        let options = ClusterOptions { proxied: true, ..ClusterOptions::default() };
        let Some(mut cluster) = Cluster::start_with(kind, &options) else { return };
        let owner = cluster.owner(slot_of_a());
        let to = cluster.nodes[another(&cluster, owner)].ask(&["GET", "{a}"]);
        let proxy = cluster.nodes[owner].proxy();
        let moved = format!("MOVED {} 127.0.0.1:{}", slot_of_a(), proxy.port());
        assert_eq!(to, Frame::Error(moved));
        assert!(cluster.url().contains(&cluster.nodes[0].proxy().port().to_string()));
        let before = proxy.accepted();
        let mut through = Conversation::open(proxy.port()).unwrap();
        through.ask(&["SET", "{a}", "x"]).unwrap();
        assert!(proxy.accepted() > before);

        let replica = cluster.failover(owner);
        cluster.migrate(slot_of_a(), another(&cluster, replica));
        cluster.nodes[owner].restart();
        cluster.settle();
        assert_eq!(cluster.replicas(replica), [owner]);
    }

    fn a_command_across_slots_is_counted(kind) {
        let Some(cluster) = Cluster::start(kind) else { return };
        assert_eq!(cluster.crossslots(), 0);
        assert_eq!(code(cluster.nodes[1].ask(&["MGET", "a", "b"])), "CROSSSLOT");
        assert_eq!(cluster.crossslots(), 1);
    }
}
