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
