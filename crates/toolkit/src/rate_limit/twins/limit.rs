//! What all kinds of limits can do.

use larder_store::Refusal;

use super::Now;

/// A limit as it stands now.
pub(super) trait Limit {
    fn free(&self) -> f64;

    fn wait(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal>;

    /// At the time `now`.
    fn reset(&self, now: f64, count: f64) -> f64;

    fn take(&mut self, now: &mut Now<'_, '_>, count: f64) -> Result<f64, Refusal>;

    fn give(
        &mut self,
        now: &mut Now<'_, '_>,
        count: f64,
        at: f64,
        mark: f64,
    ) -> Result<(), Refusal>;
}
