//! Boards that lose a part, whose clock steps back, and that are cut.

use larder_store::Keys;

use super::super::board::MEND;
use super::*;

const KEY: &str = "{shop:leaderboard:buyers}";

async fn lose(store: &Store, part: &str) -> Result<(), Error> {
    store
        .run(Command::new("UNLINK").arg(format!("{KEY}{part}")))
        .await
}

fn members(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.member).collect()
}

every_store! {
    /// Whoever lost the hash of arrivals alone had members twice.
    async fn lost_arrivals_are_made_again(test: TestStore) {
        for ties in [Ties::Ordinal, Ties::Dense] {
            let board = with_a_tie(&test.store, ties).await?;
            let before = board.top(9).await?;
            lose(&test.store, ":arrivals").await?;
            assert_eq!(board.rank("cy").await?.as_ref(), Some(&before[2]));

            lose(&test.store, ":arrivals").await?;
            board.set("dan", 40).await?;
            assert_eq!(members(&board.top(9).await?), ["dan", "ann", "bob", "cy"]);

            lose(&test.store, ":arrivals").await?;
            assert!(board.remove("ann").await?);
            assert_eq!(board.len().await?, 3);
            board.clear().await?;
        }
    }

    /// A board of dense ranks refused all after it had lost the points that occur.
    async fn a_board_works_on_without_any_one_of_its_other_keys(test: TestStore) {
        for ties in [Ties::Competition, Ties::Ordinal, Ties::Dense] {
            for part in [":arrivals", ":distinct"] {
                for step in 0..6 {
                    let board = with_a_tie(&test.store, ties).await?;
                    let before = board.top(9).await?;
                    lose(&test.store, part).await?;
                    match step {
                        0 => assert_eq!(board.top(9).await?, before),
                        1 => assert_eq!(board.rank("cy").await?.as_ref(), Some(&before[2])),
                        2 => assert_eq!(board.between(0..=i64::MAX, 9).await?, before),
                        3 => assert!(board.remove("cy").await?),
                        4 => assert_eq!(board.around("ann", 0, 9).await?, before),
                        _ => assert!(!board.set("cy", before[2].score).await?.changed),
                    }
                    let kept: &[&str] = if step == 3 { &["ann", "bob", "dan"] } else { &["ann", "bob", "cy", "dan"] };
                    assert_eq!(members(&board.top(9).await?), kept, "{ties:?} without {part}, {step}");
                    board.clear().await?;
                }
            }
        }
    }

    /// Who makes it again may be gone in the middle.
    async fn dense_ranks_that_are_made_again_in_part_are_not_used(test: TestStore) {
        let board = board(&test.store, Best::Lowest).ties(Ties::Dense);
        for number in 0..2500 {
            board.set(&number.to_string(), number / 2).await?;
        }
        let worst = board.rank("2499").await?;
        for step in 0..3 {
            lose(&test.store, ":distinct").await?;
            let order = Keys::new("shop", "leaderboard").of("buyers");
            let (arrivals, distinct) = (order.part("arrivals"), order.part("distinct"));
            let mend = MEND.on(&test.store).key(order).key(arrivals).key(distinct);
            assert_eq!(mend.arg(0).arg(1000).run::<u64>().await?, 1000);
            match step {
                0 => {}
                1 => assert!(board.remove("1").await?),
                _ => assert_eq!(board.set("2499", 1249).await?.rank, Some(1250)),
            }
            assert_eq!(board.rank("2499").await?, worst);
        }
    }

    async fn many_lost_arrivals_are_made_again(test: TestStore) {
        let board = board(&test.store, Best::Highest);
        for number in 0..2500 {
            board.set(&number.to_string(), number).await?;
        }
        lose(&test.store, ":arrivals").await?;
        board.set("0", 9999).await?;
        assert_eq!(board.rank("0").await?.map(|entry| entry.rank), Some(1));
        assert_eq!(board.len().await?, 2500);
    }

    /// What a lost board leaves behind must not be taken for members of the next.
    async fn a_lost_board_begins_anew(test: TestStore) {
        for ties in [Ties::Competition, Ties::Dense] {
            let board = with_a_tie(&test.store, ties).await?;
            lose(&test.store, "").await?;

            assert_eq!(board.top(9).await?, []);
            assert_eq!(board.rank("ann").await?, None);
            assert!(!board.remove("ann").await?);
            assert_eq!(board.add("ann", 1).await?, Placed { score: 1, rank: Some(1), changed: true });
            assert_eq!(board.add("bob", 1).await?.rank, Some(1));
            assert_eq!(board.len().await?, 2);
            board.clear().await?;
        }
    }

    /// A key that was lost and is new must not outlast the others for ever.
    async fn every_key_of_a_board_that_ends_ends(test: TestStore) {
        let ttl = Ttl::hours(1);
        for is_renewed in [false, true] {
            let board = Leaderboard::new(&test.store, "shop", "buyers", Best::Highest, ttl);
            let board = if is_renewed { board.renewed() } else { board }.ties(Ties::Dense);
            board.set("ann", 1).await?;
            for step in 0..3 {
                lose(&test.store, ":arrivals").await?;
                let ann = match step {
                    0 => board.rank("ann").await?.map(|entry| entry.score),
                    1 => Some(board.set("ann", 1).await?.score),
                    _ => Some(board.improve("ann", 0).await?.score),
                };
                assert_eq!(ann, Some(1));
                let keys = test.keys("*").await?;
                assert_eq!(keys.len(), 3);
                for key in keys {
                    let ttl: i64 = test.store.run(Command::new("PTTL").arg(&key)).await?;
                    assert!(ttl > 0, "{key}");
                }
            }
            board.clear().await?;
        }
    }

    async fn a_board_that_is_forever_now_does_not_end(test: TestStore) {
        let ends = Leaderboard::new(&test.store, "shop", "buyers", Best::Highest, Ttl::hours(1));
        ends.set("ann", 1).await?;
        board(&test.store, Best::Highest).set("bob", 2).await?;
        let ttl: i64 = test.store.run(Command::new("PTTL").arg(KEY)).await?;
        assert_eq!(ttl, -1);
    }

    /// A script that removes a million members at once stops its store.
    async fn a_board_that_is_bounded_later_is_cut_bit_by_bit_and_shows_no_more_than_it_keeps(test: TestStore) {
        for ties in [Ties::Competition, Ties::Dense] {
            let all = board(&test.store, Best::Highest).ties(ties);
            for number in 0..2505 {
                all.set(&number.to_string(), number / 2).await?;
            }
            let best = all.top(3).await?;
            let kept = all.clone().keep_top(3);
            assert_eq!(kept.set("new", 7).await?.rank, None);
            assert_eq!(all.len().await?, 1505);

            assert_eq!(kept.top(10).await?, best);
            assert_eq!(kept.between(0..=i64::MAX, 10).await?, best);
            assert_eq!(kept.around("2504", 5, 5).await?, best);
            assert_eq!(kept.rank("2000").await?, None);
            assert_eq!(kept.len().await?, 3);

            for _ in 0..2 {
                kept.improve("2504", 1).await?;
            }
            assert_eq!(all.len().await?, 3);
            assert_eq!(kept.top(10).await?, best);
            all.clear().await?;
        }
    }

    /// It was refused after it had written.
    async fn a_bound_of_any_size_is_one(test: TestStore) {
        let board = board(&test.store, Best::Highest).keep_top(u64::MAX);
        assert_eq!(board.set("ann", 1).await?.rank, Some(1));
        assert_eq!(board.keep_top(1 << 40).set("bob", 2).await?.rank, Some(1));
    }
}

/// The order of equal scores was that of a counter, which could be lost.
#[tokio::test]
async fn equal_scores_are_in_the_order_in_which_they_came_whichever_way_the_clock_goes()
-> Result<(), Error> {
    let test = larder_testkit::TestStore::memory();
    let board = board(&test.store, Best::Highest).ties(Ties::Ordinal);
    let names: Vec<String> = (0..100).map(|number| format!("{}", 999 - number)).collect();
    for name in &names {
        board.set(name, 5).await?;
        match rand::random_range(0..3) {
            0 => assert!(test.set_back(Duration::from_millis(rand::random_range(0..100_000)))),
            1 => {
                let time = Duration::from_millis(rand::random_range(0..100_000));
                test.pass(time).await;
            }
            _ => {}
        }
    }
    assert_eq!(members(&board.top(100).await?), names);
    Ok(())
}

#[test]
#[should_panic(expected = "a board keeps at least one member")]
fn a_board_that_keeps_nobody_is_refused() {
    let _ = board(&larder_testkit::TestStore::memory().store, Best::Highest).keep_top(0);
}
