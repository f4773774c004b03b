//! The frame of an example in the documentation.

use std::error::Error;

use larder_store::Store;

use crate::TestStore;

/// Runs an example on an empty memory store.
///
/// # Panics
///
/// If the example fails.
pub fn doctest(example: impl AsyncFnOnce(Store) -> Result<(), Box<dyn Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives what a runtime needs");
    let test = TestStore::memory();
    if let Err(error) = runtime.block_on(example(test.store.clone())) {
        panic!("{error}\n{error:?}");
    }
}
