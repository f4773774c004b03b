//! Random bytes that nobody can guess, from the system: tokens, and versions that nobody has twice.
//!
//! What only decides how long somebody waits is drawn by [`larder_store::jitter`].

/// So many random bytes.
///
/// # Panics
///
/// If the system has none, as at the beginning of a machine without any source of them.
pub(crate) fn bytes<const LEN: usize>() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A number that no other call has had: each thread counts, from where a random number lets it begin.
///
/// It is no secret, and when a process is forked, or a machine copied as it runs, both go on from the same
/// number. It is for who can bear that, and spares a call of the system.
#[cfg(feature = "session")]
pub(crate) fn number() -> u128 {
    use std::cell::Cell;

    thread_local! {
        static NEXT: Cell<u128> = Cell::new(u128::from_le_bytes(bytes()));
    }
    NEXT.with(|next| next.replace(next.get().wrapping_add(1)))
}

#[cfg(all(test, feature = "session"))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn threads_never_have_the_same_number() {
        let some = || {
            let drawn = || (0..1000).map(|_| number()).collect::<Vec<_>>();
            std::thread::spawn(drawn)
        };
        let threads = [some(), some()].map(|thread| thread.join().expect("it counts"));
        let numbers: HashSet<u128> = threads.into_iter().flatten().collect();
        assert_eq!(numbers.len(), 2000);
    }
}
