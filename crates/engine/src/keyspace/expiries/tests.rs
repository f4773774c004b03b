//! The wheel by itself. How entries and records go together is tested with `Db`.

use super::*;

const SECOND: u64 = 1_000;
const DAY: u64 = 24 * 3_600 * SECOND;

/// Expiries that have been told the time.
fn at(now_ms: u64) -> Expiries {
    let mut expiries = Expiries::default();
    assert_eq!(expiries.take_due(now_ms, 1), []);
    expiries
}

fn file(expiries: &mut Expiries, hash: u64, at_ms: u64) -> Slot {
    { expiries.file(hash, Some(at_ms), None) }.expect("the time is near")
}

fn hashes(records: Vec<Record>) -> Vec<u64> {
    records.iter().map(|record| record.hash).collect()
}

#[test]
fn many_records_come_up_when_their_slot_is_wholly_past() {
    let mut expiries = at(0);
    for hash in 0..8 {
        let _ = file(&mut expiries, hash, 1_000);
    }

    assert_eq!(expiries.take_due(1_023, 10), []);
    assert_eq!(expiries.take_due(1_024, 10).len(), 8);
    assert_eq!(expiries.take_due(9_000, 10), []);
}

#[test]
fn few_records_come_up_whenever_the_time_is_told_while_their_slot_passes() {
    let mut expiries = at(0);
    let slot = file(&mut expiries, 7, 1_000);

    assert_eq!(expiries.take_due(767, 10), []);
    assert_eq!(expiries.take_due(768, 10), [Record { slot, hash: 7 }]);
    assert_eq!(file(&mut expiries, 7, 1_000), slot);
    assert_eq!(expiries.take_due(1_001, 10), [Record { slot, hash: 7 }]);
    assert_eq!(expiries.take_due(9_000, 10), []);
}

#[test]
fn a_record_of_a_wide_slot_comes_up_before_its_time_but_not_long_before() {
    let start = 20_000 * DAY + 12_345;
    for (ttl, early) in [
        (SECOND, 0),
        (60 * SECOND, 0),
        (600 * SECOND, 16_384),
        (DAY, 1 << 22),
        (30 * DAY, 1 << 27),
    ] {
        let mut expiries = at(start);
        let _ = file(&mut expiries, 7, start + ttl);

        let too_early = (start + ttl - early).saturating_sub(256);
        assert_eq!(expiries.take_due(too_early.max(start), 1), [], "{ttl}");
        assert_eq!(
            hashes(expiries.take_due(start + ttl + 256, 1)),
            [7],
            "{ttl}"
        );
    }
}

#[test]
fn no_more_are_taken_than_asked_for_and_the_rest_stays() {
    let mut expiries = at(0);
    for hash in 0..100 {
        let _ = file(&mut expiries, hash, hash * 100);
    }

    let first = expiries.take_due(100_000, 4);
    let rest = expiries.take_due(100_000, 100);

    assert_eq!((first.len(), rest.len(), expiries.records()), (4, 96, 0));
    let mut all = hashes([first, rest].concat());
    all.sort_unstable();
    assert!(all.into_iter().eq(0..100));
}

#[test]
fn an_expiry_that_moves_later_keeps_its_record() {
    let mut expiries = at(0);
    let filed = file(&mut expiries, 7, 1_000);

    for at_ms in [1_001, 5_000, 3_000, 400 * DAY] {
        assert_eq!(expiries.file(7, Some(at_ms), Some(filed)), Some(filed));
    }

    assert_eq!(expiries.records(), 1);
}

#[test]
fn an_expiry_that_moves_earlier_has_its_record_moved_too() {
    let mut expiries = at(0);
    let filed = file(&mut expiries, 7, 5_000);

    let moved = expiries.file(7, Some(1_000), Some(filed));

    assert_ne!(moved, Some(filed));
    assert_eq!(expiries.records(), 1);
    assert_eq!(hashes(expiries.take_due(1_024, 10)), [7]);
}

#[test]
fn the_record_of_a_lock_that_is_released_soon_is_taken_back() {
    let mut expiries = at(DAY);
    for hash in 0..20 {
        let _ = file(&mut expiries, hash, DAY + 30 * SECOND);
    }

    for hash in 1_000..2_000 {
        let filed = file(&mut expiries, hash, DAY + 30 * SECOND);
        let _ = file(&mut expiries, hash + 10_000, DAY + 30 * SECOND);
        expiries.take_back(hash, filed);
        expiries.take_back(hash + 10_000, filed);
        assert_eq!(expiries.records(), 20);
    }

    let mut left = hashes(expiries.take_due(DAY + 31 * SECOND, 100));
    left.sort_unstable();
    assert!(left.into_iter().eq(0..20));
}

#[test]
fn a_record_that_is_not_among_the_last_of_its_slot_becomes_stale() {
    let mut expiries = at(0);
    let filed = file(&mut expiries, 7, 1_000);
    for hash in 100..200 {
        let _ = file(&mut expiries, hash, 1_000);
    }

    expiries.take_back(7, filed);

    assert_eq!(expiries.records(), 101);
}

#[test]
fn stale_records_are_doubted_when_they_are_half_as_many_as_the_live_and_some_more() {
    let mut expiries = at(0);
    for hash in 0..1_256 {
        let _ = file(&mut expiries, hash, DAY);
    }

    assert!(!expiries.has_doubts(667));
    assert!(expiries.has_doubts(666));

    let old = expiries.take_doubted(1)[0];
    let new = file(&mut expiries, old.hash, DAY);
    assert_ne!(
        old.slot, new,
        "a record that is filed again is of another generation"
    );
    assert!(expiries.has_doubts(10_000), "all are gone through");
}

#[test]
fn a_clock_that_jumps_by_a_thousand_years_passes_each_slot_once() {
    let mut expiries = at(0);
    for day in 0..2_000 {
        let _ = file(&mut expiries, day, day * DAY);
    }

    let mut count = 0;
    for _ in 0..200 {
        count += expiries.take_due(365_000 * DAY, 10).len();
    }

    assert_eq!((count, expiries.records()), (2_000, 0));
}

#[test]
fn a_clock_that_is_put_back_loses_no_record() {
    let start = 20_000 * DAY;
    for back in [SECOND, 100 * SECOND, DAY, 100 * DAY, 10_000 * DAY] {
        let mut expiries = at(start);
        let times = [0, 1, 30, 3_000, 100_000, 10_000_000].map(|s| start + s * SECOND);
        for at_ms in times {
            let _ = file(&mut expiries, at_ms, at_ms);
        }
        let mut now = start - back;
        while now <= times[5] {
            for record in expiries.take_due(now, 100) {
                if record.hash > now {
                    let _ = file(&mut expiries, record.hash, record.hash);
                }
            }
            let late = times.into_iter().filter(|at_ms| at_ms + 256 <= now);
            assert!(
                expiries.records() <= 6 - late.count(),
                "{back} ms back, at {now}"
            );
            now += (back / 1_000).max(10 * SECOND);
        }
        for record in expiries.take_due(now, 100) {
            assert!(record.hash <= now);
        }
        assert_eq!(expiries.records(), 0, "{back} ms back");
    }
}

#[test]
fn an_expiry_after_the_year_144_000_has_no_record() {
    let mut expiries = at(0);

    assert_eq!(expiries.file(7, Some(i64::MAX as u64), None), None);
    let filed = file(&mut expiries, 7, END_MS - 1);
    assert_eq!(expiries.file(7, Some(END_MS), Some(filed)), None);

    assert_eq!(expiries.records(), 0);
}

#[test]
fn a_time_and_a_slot_share_a_word() {
    let slot = Slot::from_bits(GENERATION | AT_ONCE);
    for at_ms in [0, 1, 1 << 51, END_MS - 1] {
        let due = Due::new(at_ms, Some(slot));
        assert_eq!((due.at_ms(), due.filed()), (at_ms, Some(slot)));
        assert_eq!(Due::new(at_ms, None).filed(), None);
    }
    for at_ms in [END_MS, i64::MAX as u64] {
        let due = Due::new(at_ms, Some(slot));
        assert_eq!((due.at_ms(), due.filed()), (at_ms, None));
    }
}

#[test]
fn the_soonest_are_taken_first_wherever_they_lie() {
    let start = 20_000 * DAY;
    let mut expiries = at(start);
    let seconds = (0..60).map(|nth| nth * SECOND);
    let minutes = (2..60).map(|nth| nth * 60 * SECOND);
    let hours = (2..60).map(|nth| nth * 3_600 * SECOND);
    let days = (4..60).map(|nth| nth * 2 * DAY);
    let times: Vec<u64> = { seconds.chain(minutes) }
        .chain(hours)
        .chain(days)
        .collect();
    for &ttl in times.iter().rev() {
        let _ = file(&mut expiries, ttl, start + ttl);
    }
    let _ = file(&mut expiries, 1, start - DAY);

    let first = hashes(expiries.take_soonest(2));
    let rest = hashes(expiries.take_soonest(1_000));

    assert_eq!(first, [1, 0]);
    // Beyond the last ring there is no order.
    let ordered = rest.iter().position(|ttl| *ttl > 90 * DAY);
    assert!(rest[..ordered.expect("some are beyond")].is_sorted());
    assert_eq!(
        (first.len() + rest.len(), expiries.records()),
        (times.len() + 1, 0)
    );
}

#[test]
fn each_record_may_be_drawn() {
    let mut expiries = at(0);
    for hash in 0..500 {
        let _ = file(&mut expiries, hash, hash * 1_000);
    }

    let mut drawn = [0; 500];
    let mut random = 1u64;
    for _ in 0..100_000 {
        random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(7);
        if let Some(record) = expiries.sample(random) {
            drawn[record.hash as usize] += 1;
        }
    }

    let (least, most) = (drawn.iter().min(), drawn.iter().max());
    assert!(
        least > Some(&100) && most < Some(&320),
        "{least:?} {most:?}"
    );
    assert_eq!(Expiries::default().sample(7), None);
}

#[test]
fn a_record_takes_ten_bytes_wherever_it_lies_and_none_when_it_has_been_taken() {
    let start = 20_000 * DAY;
    for span in [1, SECOND, 3_600 * SECOND, 30 * DAY, 3_000 * DAY] {
        let mut expiries = at(start);
        assert_eq!(expiries.bytes(), 0);
        for hash in 0..20_000 {
            let _ = file(&mut expiries, hash, start + DAY + hash * span / 20_000);
        }

        let bytes = expiries.bytes() - size_of::<Wheel>();
        assert!(bytes < 20_000 * 10, "{} a record", bytes as f64 / 20_000.0);

        let taken = expiries.take_due(start + 6_000 * DAY, usize::MAX);
        assert_eq!((taken.len(), expiries.bytes()), (20_000, 0));
    }
}
