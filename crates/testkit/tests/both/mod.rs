//! Tests on the servers of Redis and of Valkey.

/// Makes each function a module with a test for each kind of server. Where `valkey-server` is missing,
/// what needs it is skipped.
macro_rules! both {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident($kind:ident) $body:block
    )*) => {$(
        $(#[$attribute])*
        mod $name {
            use super::*;

            fn test($kind: larder_testkit::ServerKind) $body

            #[test]
            fn redis() {
                test(larder_testkit::ServerKind::Redis);
            }

            #[test]
            fn valkey() {
                test(larder_testkit::ServerKind::Valkey);
            }
        }
    )*};
}
pub(crate) use both;
