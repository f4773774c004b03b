//! A test for every kind of store.

use std::error::Error;
use std::future::Future;

use crate::test_store::{StoreKind, TestStore};

/// Runs a test on a store of this kind, or skips it where there is none.
///
/// # Panics
///
/// If the test fails.
pub fn run<F>(kind: StoreKind, test: impl FnOnce(TestStore) -> F)
where
    F: Future<Output = Result<(), Box<dyn Error>>>,
{
    let Some(store) = TestStore::open(kind) else {
        return;
    };
    // It is given back after the runtime has ended, also if the test fails: tasks that the test has left
    // behind may still write.
    let _hold = store.hold();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    let runtime = runtime.expect("the system gives threads");
    if let Err(error) = runtime.block_on(test(store)) {
        panic!("{error}\n{error:?}");
    }
}

/// Writes tests once and runs them on every kind of store.
///
/// Each test becomes a module of its name with a test for each kind: `memory`, `lua`, `redis`, `valkey`,
/// `sentinel` and `cluster`. It may use `?` on every error.
///
/// ```
/// use larder_testkit::every_store;
///
/// every_store! {
///     /// What is set is got.
///     async fn what_is_set_is_got(test: TestStore) {
///         test.store.run::<()>(larder_store::Command::new("PING")).await?;
///     }
/// }
/// ```
///
/// With `on` and a list, the tests run on these kinds alone:
///
/// ```
/// # use larder_testkit::every_store;
/// every_store! {
///     on valkey;
///     async fn what_only_valkey_has(test: TestStore) {
///         test.store.run::<()>(larder_store::Command::new("PING")).await?;
///     }
/// }
/// ```
#[macro_export]
macro_rules! every_store {
    (on $kinds:tt; $($tests:tt)*) => { $crate::stores! { [$kinds] $($tests)* } };
    (on $first:ident, $($kinds:ident),+; $($tests:tt)*) => {
        $crate::stores! { [$first $($kinds)+] $($tests)* }
    };
    ($($tests:tt)*) => { $crate::on_every_kind! { $($tests)* } };
}

/// The kinds of stores on which every test runs.
#[doc(hidden)]
#[macro_export]
macro_rules! on_every_kind {
    ($($tests:tt)*) => {
        $crate::stores! { [memory lua redis valkey sentinel cluster] $($tests)* }
    };
}

/// A module for each test.
#[doc(hidden)]
#[macro_export]
macro_rules! stores {
    ($kinds:tt $(
        $(#[$attribute:meta])*
        async fn $name:ident($test:ident: TestStore) $body:block
    )*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports, reason = "a test may need nothing from around it")]
            use super::*;

            #[allow(unused_mut, reason = "most tests do not restart their server")]
            async fn test(
                mut $test: $crate::TestStore,
            ) -> ::std::result::Result<(), ::std::boxed::Box<dyn ::std::error::Error>> {
                $body
                #[allow(unreachable_code, reason = "a test may end with an endless loop")]
                ::std::result::Result::Ok(())
            }

            $crate::kinds! { $kinds }
        }
    )*};
}

/// A test for each kind of store, which runs the function `test`.
#[doc(hidden)]
#[macro_export]
macro_rules! kinds {
    ([$($kind:ident)*]) => {$( $crate::kinds! { $kind } )*};
    (memory) => { $crate::kinds! { memory Memory } };
    (lua) => { $crate::kinds! { lua Lua } };
    (redis) => { $crate::kinds! { redis Redis } };
    (valkey) => { $crate::kinds! { valkey Valkey } };
    (sentinel) => { $crate::kinds! { sentinel Sentinel } };
    (cluster) => { $crate::kinds! { cluster Cluster } };
    ($name:ident $kind:ident) => {
        #[test]
        fn $name() {
            $crate::private::run($crate::private::StoreKind::$kind, test);
        }
    };
}
