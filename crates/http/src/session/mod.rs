//! Sessions in a web server.
//!
//! ```text
//! layer.rs    reads the cookie, hands the session to the request, tells the browser of its token
//! visit.rs    the session of a request: asks the store when the handler first asks
//! cookie.rs   what the cookie is called, and what is said of it to browsers
//! extract.rs  the session as an argument of axum's handlers
//! ```

mod layer;
mod visit;

mod cookie;
#[cfg(feature = "axum")]
mod extract;

pub use cookie::SameSite;
#[cfg(feature = "axum")]
pub use extract::NoSessionLayer;
pub use layer::{SessionLayer, WithSession};
pub use visit::Session;
