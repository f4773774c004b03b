//! The Sentinels that tests run on do what they are told to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod both;

use std::time::Duration;

use both::both;
use larder_resp::Frame;
use larder_testkit::{Node, SentinelOptions, Sentinels, until};

both! {
    fn a_master_has_two_replicas_and_is_watched_by_three(kind) {
        let Some(sentinels) = Sentinels::start(kind) else { return };
        assert_eq!((sentinels.master(), sentinels.replicas()), (0, vec![1, 2]));
        let ports: Vec<_> = sentinels.sentinels.iter().map(Node::address).collect();
        assert_eq!(sentinels.url(), format!("redis-sentinel://{}/larder", ports.join(",")));
        let mut master = sentinels.nodes[0].connect().unwrap();
        master.ask(&["SET", "a", "x"]).unwrap();
        assert_eq!(master.ask(&["WAIT", "2", "5000"]).unwrap(), Frame::Integer(2));
        assert_eq!(sentinels.nodes[2].run(&["GET", "a"]), Frame::Bulk(b"x".to_vec()));
        for sentinel in &sentinels.sentinels {
            let quorum = sentinel.run(&["SENTINEL", "CKQUORUM", Sentinels::NAME]);
            assert!(matches!(&quorum, Frame::Status(text) if text.starts_with("OK 3")), "{quorum:?}");
        }
    }

    fn a_replica_becomes_the_master_when_it_is_told_to_or_the_master_dies_or_hangs(kind) {
        let Some(mut sentinels) = Sentinels::start(kind) else { return };
        let first = sentinels.master();
        let second = sentinels.failover();
        assert_ne!(first, second);
        sentinels.nodes[second].run(&["SET", "a", "x"]);
        assert!(sentinels.replicas().contains(&first));

        let third = sentinels.failover_by_killing();
        assert_ne!(third, second);
        assert!(!sentinels.nodes[second].is_reachable());
        sentinels.nodes[second].restart();
        sentinels.settle();
        assert_eq!(sentinels.nodes[second].run(&["GET", "a"]), Frame::Bulk(b"x".to_vec()));

        // One that hangs believes that it leads until it is told otherwise.
        sentinels.nodes[third].pause();
        let fourth = sentinels.until_master_is_not(third);
        sentinels.nodes[third].resume();
        sentinels.settle();
        assert_eq!(sentinels.master(), fourth);
    }

    fn a_master_that_is_cut_off_is_replaced_and_follows_when_it_is_found_again(kind) {
        let options = SentinelOptions { proxied: true, ..SentinelOptions::default() };
        let Some(sentinels) = Sentinels::start_with(kind, &options) else { return };
        let first = sentinels.master();
        let proxy = sentinels.nodes[first].proxy();
        proxy.black_hole(true);
        let second = sentinels.until_master_is_not(first);
        // It believes that it leads, and takes writes that are going to be lost.
        sentinels.nodes[first].run(&["SET", "a", "x"]);
        proxy.black_hole(false);
        sentinels.settle();
        assert_eq!(sentinels.master(), second);
        assert_eq!(sentinels.nodes[first].run(&["GET", "a"]), Frame::Null);
    }

    fn two_sentinels_of_three_are_enough_and_one_is_not(kind) {
        let Some(mut sentinels) = Sentinels::start(kind) else { return };
        sentinels.sentinels[0].kill();
        let second = sentinels.failover_by_killing();
        sentinels.sentinels[0].restart();
        sentinels.nodes[0].restart();
        sentinels.settle();
        assert_eq!(sentinels.master(), second);
        sentinels.sentinels[1].pause();
        sentinels.sentinels[2].pause();
        sentinels.nodes[second].kill();
        until("the one that is left holds it to be down", Duration::from_secs(10), || {
            let Frame::Array(fields) = sentinels.sentinels[0].run(&["SENTINEL", "MASTER", Sentinels::NAME]) else {
                panic!("no array");
            };
            fields.contains(&Frame::Bulk(b"s_down,master".to_vec()))
                || fields.contains(&Frame::Bulk(b"master,s_down".to_vec()))
        });
        assert_eq!(sentinels.master(), second);
        sentinels.sentinels[1].resume();
        sentinels.sentinels[2].resume();
        assert_ne!(sentinels.until_master_is_not(second), second);
    }

    fn servers_and_sentinels_have_passwords_of_their_own(kind) {
        let options = SentinelOptions {
            password: Some("secret"),
            sentinel_password: Some("hidden"),
            ..SentinelOptions::default()
        };
        let Some(sentinels) = Sentinels::start_with(kind, &options) else { return };
        assert!(sentinels.url().starts_with("redis-sentinel://:secret@127.0.0.1:"));
        for node in sentinels.nodes.iter().chain(&sentinels.sentinels) {
            let mut stranger = larder_testkit::Conversation::open(node.port()).unwrap();
            let answer = stranger.ask(&["PING"]).unwrap();
            assert!(matches!(&answer, Frame::Error(text) if text.starts_with("NOAUTH")), "{answer:?}");
        }
        assert_ne!(sentinels.failover(), 0);
    }
}
