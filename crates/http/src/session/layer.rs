//! The middleware.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use larder_toolkit::session::{Device, Sessions};
use tower_layer::Layer;
use tower_service::Service;

use super::cookie::{Cookie, SameSite};
use super::visit::{News, Session};
use crate::caller::{Head, PeerIp};

/// Gives each request its [`Session`], and the browser its cookie.
///
/// The cookie is `__Host-session`, `Secure`, `HttpOnly`, `SameSite=Lax`: browsers send it over TLS
/// alone, show it to no script, take it from no other host of the domain, and send it with no form
/// or request of another site. It lasts as long as the session at most. An answer that brings a
/// cookie is `Cache-Control: no-store`, whatever it said before.
///
/// The cookie changes when the token does: when a session is made, which is only when something is
/// written, at a login, and when it is rotated. It is taken away at a logout, and then alone: one
/// that is worth nothing may be from before a login whose answer is under way. A token that a browser
/// shows is never given to a session: each session has a token that was made for it.
///
/// ```
/// # larder_testkit::doctest(async |store| {
/// use axum::{Router, routing::{get, post}};
/// use larder_http::{HttpError, Session, SessionLayer};
/// use larder_toolkit::session::Sessions;
///
/// type Cart = Vec<u32>;
///
/// async fn add(cart: Session<Cart>) -> Result<String, HttpError> {
///     let len = cart.update(|cart| { cart.push(42); cart.len() }).await?;
///     Ok(format!("{len} in the cart"))
/// }
///
/// async fn log_in(cart: Session<Cart>) -> Result<(), HttpError> {
///     // Once she has shown who she is. The cart comes along.
///     Ok(cart.log_in("ann").await?)
/// }
///
/// async fn me(cart: Session<Cart>) -> Result<String, HttpError> {
///     Ok(cart.user().await?.unwrap_or("a visitor".to_owned()))
/// }
///
/// let shop: Router = Router::new()
///     .route("/add", post(add))
///     .route("/log-in", post(log_in))
///     .route("/me", get(me))
///     .layer(SessionLayer::new(Sessions::<Cart>::new(&store, "shop")));
/// # Ok(()) });
/// ```
pub struct SessionLayer<T> {
    sessions: Sessions<T>,
    cookie: Arc<Cookie>,
    /// Who finds out from which addresses sessions are used, if that is noted.
    addresses: Option<PeerIp>,
}

impl<T> SessionLayer<T> {
    /// Gives requests these sessions.
    pub fn new(sessions: Sessions<T>) -> SessionLayer<T> {
        SessionLayer {
            sessions,
            cookie: Arc::new(Cookie::new()),
            addresses: None,
        }
    }

    /// Names the cookie: `session` by default. The prefix is added to it.
    ///
    /// # Panics
    ///
    /// If it can't be the name of a cookie.
    #[must_use]
    pub fn cookie_name(self, name: &str) -> SessionLayer<T> {
        self.with(|cookie| cookie.set_name(name))
    }

    /// Which requests from other sites bring the cookie: [`SameSite::Lax`] by default.
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> SessionLayer<T> {
        self.with(|cookie| cookie.same_site = same_site)
    }

    /// Shares the cookie with all hosts below this domain, each of which can then read and replace
    /// it: its prefix is `__Secure-` instead.
    ///
    /// # Panics
    ///
    /// If it is no name of a domain.
    #[must_use]
    pub fn domain(self, domain: &str) -> SessionLayer<T> {
        self.with(|cookie| cookie.set_domain(domain))
    }

    /// Has the browser forget the cookie when it is closed.
    #[must_use]
    pub fn until_closed(self) -> SessionLayer<T> {
        self.with(|cookie| cookie.is_kept = false)
    }

    /// Notes for each session of a user from which address and by which `User-Agent` it was last written,
    /// so that the user tells one from the other in [`Sessions::list`]. Not done by default: it is about
    /// people.
    #[must_use]
    pub fn note_devices(mut self, addresses: PeerIp) -> SessionLayer<T> {
        self.addresses = Some(addresses);
        self
    }

    /// Sends the cookie without TLS, without `Secure` and without a prefix. **For development on the
    /// own machine alone**: anybody on the way reads such a cookie, and with it the session.
    #[must_use]
    pub fn insecure_for_development(self) -> SessionLayer<T> {
        self.with(|cookie| cookie.is_secure = false)
    }

    fn with(mut self, change: impl FnOnce(&mut Cookie)) -> SessionLayer<T> {
        change(Arc::make_mut(&mut self.cookie));
        self
    }
}

impl<T> Clone for SessionLayer<T> {
    fn clone(&self) -> SessionLayer<T> {
        SessionLayer {
            sessions: self.sessions.clone(),
            cookie: Arc::clone(&self.cookie),
            addresses: self.addresses.clone(),
        }
    }
}

impl<T> fmt::Debug for SessionLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("sessions", &self.sessions)
            .field("cookie", &self.cookie)
            .finish()
    }
}

impl<S, T> Layer<S> for SessionLayer<T> {
    type Service = WithSession<S, T>;

    fn layer(&self, inner: S) -> WithSession<S, T> {
        WithSession {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests have sessions: what [`SessionLayer`] makes.
pub struct WithSession<S, T> {
    inner: S,
    layer: SessionLayer<T>,
}

impl<S: Clone, T> Clone for WithSession<S, T> {
    fn clone(&self) -> WithSession<S, T> {
        WithSession {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for WithSession<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithSession")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, T, B, R> Service<Request<B>> for WithSession<S, T>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    T: Send + Sync + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let SessionLayer {
            mut sessions,
            cookie,
            addresses,
        } = self.layer.clone();
        if let Some(addresses) = addresses {
            sessions = sessions.on_device(device(&addresses, &Head::of(&request)));
        }
        let session = Session::new(sessions, cookie.read(request.headers()));
        request.extensions_mut().insert(session.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some(news) = session.news() {
                tell(response.headers_mut(), &cookie, news);
            }
            Ok(response)
        })
    }
}

/// Where a request comes from.
fn device(addresses: &PeerIp, head: &Head<'_>) -> Device {
    let mut device = Device::new();
    // Some browsers say it in bytes that are no text.
    if let Some(agent) = head.headers.get(USER_AGENT) {
        device = device.user_agent(String::from_utf8_lossy(agent.as_bytes()));
    }
    match addresses.address(head) {
        Ok(address) => device.address(address),
        Err(_) => device,
    }
}

/// Tells the browser of its token.
fn tell(headers: &mut HeaderMap, cookie: &Cookie, news: News) {
    let written = match news {
        News::Token(token, lasts) => cookie.given(&token, lasts),
        News::LoggedOut => cookie.taken(),
    };
    // Names and tokens are made of what headers may hold.
    if let Some(written) = written {
        headers.append(SET_COOKIE, written);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
