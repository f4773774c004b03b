//! Something of which each thread has its own.

use std::sync::Arc;

use larder_model::loom::thread;
use larder_model::{Cell, Model};

use crate::per_thread::PerThread;

/// Counts without any atomic: the model ends if two threads do so at the same time, or if one does so
/// before it is sure to see what the one before it has left.
struct Plain(Cell<u64>);

impl Default for Plain {
    fn default() -> Plain {
        Plain(Cell::new(0))
    }
}

/// A lane is given back when its thread ends, and another thread may get it that has not waited for that.
#[test]
fn a_lane_that_is_not_shared_has_one_thread_at_a_time_and_loses_nothing() {
    Model::bounded(3).check(|| {
        let lanes: Arc<PerThread<Plain>> = Arc::default();
        // What the process has once is there before its threads are.
        lanes.own();
        let count = || {
            let lanes = Arc::clone(&lanes);
            thread::spawn(move || {
                for _ in 0..2 {
                    let (lane, is_shared) = lanes.own_or_shared();
                    assert!(!is_shared);
                    lane.0.set(lane.0.get() + 1);
                }
            })
        };
        let threads = [count(), count(), count()];
        for thread in threads {
            thread.join().unwrap();
        }
        let sum: u64 = lanes.iter().map(|lane| lane.0.get()).sum();
        assert_eq!(sum, 6);
    });
}
