//! Leaderboards, on every kind of store.

use std::time::Duration;

use larder_store::{Command, Error, Store};
use larder_testkit::every_store;

use super::*;
use crate::Ttl;

fn board(store: &Store, best: Best) -> Leaderboard {
    Leaderboard::new(store, "shop", "buyers", best, Ttl::forever())
}

/// A board on which two members share the second score; `cy` came to it after `bob`.
async fn with_a_tie(store: &Store, ties: Ties) -> Result<Leaderboard, Error> {
    let board = board(store, Best::Highest).ties(ties);
    for (member, score) in [("dan", 10), ("bob", 20), ("ann", 30), ("cy", 20)] {
        board.set(member, score).await?;
    }
    Ok(board)
}

fn ranks(entries: &[Entry]) -> Vec<(&str, i64, u64)> {
    entries
        .iter()
        .map(|entry| (&*entry.member, entry.score, entry.rank))
        .collect()
}

fn is_invalid<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Invalid { .. }))
}

mod losses;

every_store! {
    async fn equal_scores_share_a_rank_and_leave_out_the_next_in_a_competition(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Competition).await?;

        let top = board.top(10).await?;

        assert_eq!(ranks(&top), [("ann", 30, 1), ("bob", 20, 2), ("cy", 20, 2), ("dan", 10, 4)]);
    }

    async fn equal_scores_are_ranked_by_who_came_first_in_ordinal_ranks(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Ordinal).await?;

        let top = board.top(10).await?;

        assert_eq!(ranks(&top), [("ann", 30, 1), ("bob", 20, 2), ("cy", 20, 3), ("dan", 10, 4)]);
    }

    async fn equal_scores_share_a_rank_and_leave_out_none_in_dense_ranks(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Dense).await?;

        let top = board.top(10).await?;

        assert_eq!(ranks(&top), [("ann", 30, 1), ("bob", 20, 2), ("cy", 20, 2), ("dan", 10, 3)]);
    }

    /// The rank that a page begins with is not on the page before it.
    async fn ranks_are_the_same_on_every_page_alone_and_in_a_range(test: TestStore) {
        for ties in [Ties::Competition, Ties::Ordinal, Ties::Dense] {
            let board = with_a_tie(&test.store, ties).await?;
            let all = board.top(10).await?;
            for (offset, entry) in all.iter().enumerate() {
                assert_eq!(board.page(offset as u64, 2).await?[0], *entry, "{ties:?}");
                assert_eq!(board.rank(&entry.member).await?.as_ref(), Some(entry), "{ties:?}");
                let from = all.iter().position(|other| other.score == entry.score);
                let below = board.between(i64::MIN..=entry.score, 10).await?;
                assert_eq!(Some(&below[..]), from.map(|from| &all[from..]), "{ties:?}");
            }
            board.clear().await?;
        }
    }

    async fn whoever_comes_back_to_a_score_comes_behind_those_who_have_it(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Ordinal).await?;

        board.set("bob", 25).await?;
        let placed = board.set("bob", 20).await?;

        assert_eq!(placed, Placed { score: 20, rank: Some(3), changed: true });
    }

    async fn whoever_is_given_the_score_it_has_keeps_its_place(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Ordinal).await?;

        let placed = board.set("bob", 20).await?;

        assert_eq!(placed, Placed { score: 20, rank: Some(2), changed: false });
    }

    async fn where_the_lowest_is_best_the_lowest_is_first(test: TestStore) {
        let board = board(&test.store, Best::Lowest).ties(Ties::Ordinal);
        for (member, time) in [("ann", 70), ("bob", 60), ("cy", 60)] {
            board.set(member, time).await?;
        }

        let top = board.top(10).await?;
        assert_eq!(ranks(&top), [("bob", 60, 1), ("cy", 60, 2), ("ann", 70, 3)]);

        let slow = board.between(65..=100, 10).await?;
        assert_eq!(ranks(&slow), [("ann", 70, 3)]);
    }

    async fn only_a_better_score_improves_one(test: TestStore) {
        let highest = board(&test.store, Best::Highest);
        highest.improve("ann", 30).await?;
        assert!(!highest.improve("ann", 20).await?.changed);
        assert_eq!(highest.improve("ann", 40).await?.score, 40);

        let lowest = Leaderboard::new(&test.store, "shop", "laps", Best::Lowest, Ttl::forever());
        lowest.improve("ann", 30).await?;
        assert!(!lowest.improve("ann", 40).await?.changed);
        assert_eq!(lowest.improve("ann", 20).await?.score, 20);
    }

    async fn adding_begins_at_zero_and_may_go_below(test: TestStore) {
        let board = board(&test.store, Best::Highest);

        assert_eq!(board.add("ann", 5).await?.score, 5);
        assert_eq!(board.add("ann", -8).await?.score, -3);
        assert_eq!(board.add("bob", -2).await?.rank, Some(1));
    }

    async fn the_top_0_and_a_page_behind_the_end_are_empty(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Competition).await?;

        assert_eq!(board.top(0).await?, []);
        assert_eq!(board.page(4, 10).await?, []);
        assert_eq!(board.between(1..=100, 0).await?, []);
        assert_eq!(board.between(40..=100, 9).await?, []);
        assert_eq!(board.page(u64::MAX, usize::MAX).await?, []);
        assert_eq!(board.top(usize::MAX).await?.len(), 4);
    }

    async fn around_a_member_are_its_neighbours(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Competition).await?;

        let around = board.around("cy", 1, 1).await?;
        assert_eq!(ranks(&around), [("bob", 20, 2), ("cy", 20, 2), ("dan", 10, 4)]);

        let around_the_first = board.around("ann", 5, 1).await?;
        assert_eq!(ranks(&around_the_first), [("ann", 30, 1), ("bob", 20, 2)]);

        assert_eq!(board.around("nobody", 5, 5).await?, []);
    }

    async fn who_is_not_on_the_board_has_no_rank(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Dense).await?;

        assert_eq!(board.rank("nobody").await?, None);
        assert!(!board.remove("nobody").await?);
    }

    /// Dense ranks must not count a score that nobody has any more.
    async fn a_score_that_nobody_has_any_more_does_not_count(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Dense).await?;

        assert!(board.remove("bob").await?);
        assert_eq!(board.rank("dan").await?.map(|entry| entry.rank), Some(3));
        board.set("cy", 5).await?;
        assert_eq!(board.rank("dan").await?.map(|entry| entry.rank), Some(2));
        assert_eq!(board.len().await?, 3);
    }

    async fn a_bounded_board_keeps_the_best_and_of_equals_the_earlier(test: TestStore) {
        for ties in [Ties::Ordinal, Ties::Dense] {
            let board = board(&test.store, Best::Highest).ties(ties).keep_top(3);
            for member in ["ann", "bob", "cy"] {
                board.set(member, 10).await?;
            }

            assert_eq!(board.set("dan", 10).await?.rank, None);
            assert_eq!(board.set("eve", 20).await?.rank, Some(1));

            let top = board.top(10).await?;
            let members: Vec<_> = top.iter().map(|entry| &*entry.member).collect();
            assert_eq!(members, ["eve", "ann", "bob"]);
            assert_eq!(board.rank("cy").await?, None);
            board.clear().await?;
        }
    }

    async fn scores_are_exact_up_to_the_largest(test: TestStore) {
        let board = board(&test.store, Best::Highest).ties(Ties::Dense);

        board.set("ann", SCORE_MAX).await?;
        board.set("bob", SCORE_MAX - 1).await?;
        board.set("cy", -SCORE_MAX).await?;

        let top = board.top(3).await?;
        let wanted = [("ann", SCORE_MAX, 1), ("bob", SCORE_MAX - 1, 2), ("cy", -SCORE_MAX, 3)];
        assert_eq!(ranks(&top), wanted);
    }

    async fn a_score_that_would_not_be_exact_is_refused_and_changes_nothing(test: TestStore) {
        let board = board(&test.store, Best::Highest);
        board.set("ann", SCORE_MAX).await?;

        assert!(is_invalid(board.set("ann", SCORE_MAX + 1).await));
        assert!(is_invalid(board.add("ann", 1).await));
        assert_eq!(board.rank("ann").await?.map(|entry| entry.score), Some(SCORE_MAX));
    }

    async fn a_board_is_not_kept_for_dense_and_other_ties_at_once(test: TestStore) {
        let plain = with_a_tie(&test.store, Ties::Competition).await?;
        let dense = plain.clone().ties(Ties::Dense);

        assert!(is_invalid(dense.set("ann", 1).await));
        assert!(is_invalid(dense.top(1).await));
        assert!(is_invalid(dense.between(0..=9, 1).await));

        plain.clear().await?;
        assert!(dense.set("ann", 1).await?.changed);
        assert!(is_invalid(plain.set("ann", 2).await));
    }

    async fn a_board_lasts_from_its_first_or_its_last_score(test: TestStore) {
        let time = Duration::from_millis(300);
        let ttl = Ttl::new(time)?;
        let first = Leaderboard::new(&test.store, "shop", "day", Best::Highest, ttl);
        let last = Leaderboard::new(&test.store, "shop", "recent", Best::Highest, ttl).renewed();
        for board in [&first, &last] {
            board.set("ann", 1).await?;
        }

        test.pass(time * 2 / 3).await;
        for board in [&first, &last] {
            board.set("bob", 1).await?;
        }
        test.pass(time * 2 / 3).await;

        assert!(first.is_empty().await?);
        assert_eq!(first.set("cy", 1).await?.rank, Some(1));
        assert_eq!(last.len().await?, 2);
    }

    /// A change of the only score on a board must not begin its time anew.
    async fn a_board_lasts_from_its_first_score_also_with_one_member(test: TestStore) {
        let time = Duration::from_millis(300);
        for ties in [Ties::Ordinal, Ties::Dense] {
            let ttl = Ttl::new(time)?;
            let board = Leaderboard::new(&test.store, "shop", ties.name(), Best::Highest, ttl).ties(ties);
            board.set("ann", 1).await?;

            test.pass(time * 2 / 3).await;
            board.set("ann", 2).await?;
            test.pass(time * 2 / 3).await;

            assert!(board.is_empty().await?, "{ties:?}");
        }
        assert_eq!(test.keys("*").await?, [""; 0]);
    }

    async fn scores_that_nobody_can_have_are_between_no_others(test: TestStore) {
        let board = board(&test.store, Best::Highest);
        board.set("ann", SCORE_MAX).await?;
        board.set("bob", -SCORE_MAX).await?;

        assert_eq!(board.between(SCORE_MAX + 1..=i64::MAX, 9).await?, []);
        assert_eq!(board.between(i64::MIN..=-SCORE_MAX - 1, 9).await?, []);
        assert_eq!(board.between(i64::MIN..=i64::MAX, usize::MAX).await?.len(), 2);
    }

    async fn as_many_can_be_asked_for_as_a_number_can_say(test: TestStore) {
        let board = with_a_tie(&test.store, Ties::Ordinal).await?;
        let all = board.top(usize::MAX).await?;

        assert_eq!(board.around("ann", u32::MAX, u32::MAX).await?, all);
        assert_eq!(board.around("dan", u32::MAX, 0).await?, all);
        assert_eq!(board.page(1, usize::MAX).await?, all[1..]);
        assert_eq!(board.page(u64::MAX, usize::MAX).await?, []);
    }

    async fn a_member_may_be_called_anything(test: TestStore) {
        let board = board(&test.store, Best::Highest);

        for member in ["", "a b", "{}", "0000000000000001", "Zoë"] {
            board.set(member, 1).await?;
            assert_eq!(board.rank(member).await?.map(|entry| entry.member).as_deref(), Some(member));
        }
        assert_eq!(board.len().await?, 5);
    }
}
