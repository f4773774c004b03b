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
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    let runtime = runtime.expect("the system gives threads");
    let Some(store) = TestStore::open(kind) else {
        return;
    };
    if let Err(error) = runtime.block_on(test(store)) {
        panic!("{error}\n{error:?}");
    }
}

/// Writes tests once and runs them on every kind of store.
///
/// Each test becomes a module of its name with a test for each kind: `memory`, `lua` and `redis`. It
/// may use `?` on every error.
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
#[macro_export]
macro_rules! every_store {
    ($(
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

            #[test]
            fn memory() {
                $crate::private::run($crate::private::StoreKind::Memory, test);
            }

            #[test]
            fn lua() {
                $crate::private::run($crate::private::StoreKind::Lua, test);
            }

            #[test]
            fn redis() {
                $crate::private::run($crate::private::StoreKind::Redis, test);
            }
        }
    )*};
}
