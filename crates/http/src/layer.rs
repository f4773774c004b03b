//! The middleware.

use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use larder_toolkit::rate_limit::{Decision, Error, Limiter};
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::{self, Headers};
use crate::caller::{Caller, Head};

/// How many permits a request takes. A closure will do.
pub trait Costs: Send + Sync + 'static {
    /// The permits that this request takes.
    fn permits(&self, head: &Head<'_>) -> NonZeroU32;
}

impl<F: Fn(&Head<'_>) -> NonZeroU32 + Send + Sync + 'static> Costs for F {
    fn permits(&self, head: &Head<'_>) -> NonZeroU32 {
        self(head)
    }
}

/// What becomes of a request that does not say from whom it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutCaller {
    /// It is answered with this status.
    Refuse(StatusCode),
    /// It passes, and no limit is asked.
    Pass,
}

/// Asks a limiter before each request.
///
/// A request that is allowed passes, and its answer says in `RateLimit-Policy` and `RateLimit` what
/// is left, beside what other layers say there. One that is denied is answered with status 429,
/// `Retry-After`, the same headers, and a problem of the type `quota-exceeded` in JSON.
///
/// If the store gives no answer, the limiter's policy decides
/// ([`Limiter::without_store`]). A denial is then status 503 and a problem of the type
/// `temporary-reduced-capacity`; so is a limiter that is told to fail. What is allowed passes,
/// without headers. A request that costs more than a limit has is denied for good: with 429, and
/// without `Retry-After`.
///
/// The [`Decision`] is among the extensions of the request and of its answer.
///
/// ```
/// # larder_testkit::doctest(async |store| {
/// use axum::{Router, routing::get};
/// use larder_http::{PeerIp, RateLimitLayer};
/// use larder_toolkit::rate_limit::{Limit, Limiter, Quota, WithoutStore};
///
/// let limiter = Limiter::new(&store, "api", Limit::gcra(Quota::per_minute(60)))
///     .without_store(WithoutStore::Allow);
/// let api: Router = Router::new()
///     .route("/", get(async || "hello"))
///     .layer(RateLimitLayer::new(limiter, PeerIp::new()));
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct RateLimitLayer {
    limits: Arc<Limits>,
}

/// What the clones of a layer, and its services, share.
#[derive(Clone)]
struct Limits {
    limiter: Limiter,
    caller: Arc<dyn Caller>,
    costs: Option<Arc<dyn Costs>>,
    headers: Headers,
    without_caller: WithoutCaller,
}

impl RateLimitLayer {
    /// Asks this limiter, for callers told apart like this. A request costs one permit, and one
    /// that does not say from whom it is is refused with status 400.
    pub fn new(limiter: Limiter, caller: impl Caller) -> RateLimitLayer {
        RateLimitLayer {
            limits: Arc::new(Limits {
                limiter,
                caller: Arc::new(caller),
                costs: None,
                headers: Headers {
                    standard: true,
                    legacy: false,
                },
                without_caller: WithoutCaller::Refuse(StatusCode::BAD_REQUEST),
            }),
        }
    }

    /// Takes so many permits for a request.
    #[must_use]
    pub fn costs(self, costs: impl Costs) -> RateLimitLayer {
        self.with(|limits| limits.costs = Some(Arc::new(costs)))
    }

    /// What to do with a request that does not say from whom it is.
    #[must_use]
    pub fn without_caller(self, policy: WithoutCaller) -> RateLimitLayer {
        self.with(|limits| limits.without_caller = policy)
    }

    /// Whether `RateLimit-Policy` and `RateLimit` are written, as they are by default.
    #[must_use]
    pub fn headers(self, are_written: bool) -> RateLimitLayer {
        self.with(|limits| limits.headers.standard = are_written)
    }

    /// Whether `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now) are written
    /// too, as some clients expect. They are not by default.
    #[must_use]
    pub fn legacy_headers(self, are_written: bool) -> RateLimitLayer {
        self.with(|limits| limits.headers.legacy = are_written)
    }

    fn with(mut self, change: impl FnOnce(&mut Limits)) -> RateLimitLayer {
        change(Arc::make_mut(&mut self.limits));
        self
    }
}

impl Limits {
    /// What the limiter says, or `None` if so many permits can never be had.
    async fn decide(&self, caller: &str, permits: NonZeroU32) -> Option<Decision> {
        match self.limiter.take(caller, permits).await {
            Ok(decision) => Some(decision),
            Err(Error::MoreThanSize { .. }) => None,
            Err(error) => {
                tracing::warn!(%error, "a request was refused because its limit was not checked");
                Some(Decision::Unchecked { is_allowed: false })
            }
        }
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.limits.limiter)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit {
            inner,
            limits: Arc::clone(&self.limits),
        }
    }
}

/// A service whose requests are limited: what [`RateLimitLayer`] makes.
#[derive(Clone)]
pub struct RateLimit<S> {
    inner: S,
    limits: Arc<Limits>,
}

impl<S: fmt::Debug> fmt::Debug for RateLimit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that said it is ready has to be the one that is called.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let limits = Arc::clone(&self.limits);
        let head = Head::of(&request);
        let caller = limits.caller.name(&head);
        let permits = match &limits.costs {
            Some(costs) => costs.permits(&head),
            None => NonZeroU32::MIN,
        };
        Box::pin(async move {
            let Some(caller) = caller else {
                return match limits.without_caller {
                    WithoutCaller::Refuse(status) => Ok(answer::no_caller(status)),
                    WithoutCaller::Pass => inner.call(request).await,
                };
            };
            let Some(decision) = limits.decide(&caller, permits).await else {
                let all = limits.limiter.limits();
                return Ok(answer::never(limits.headers, all));
            };
            if !decision.is_allowed() {
                let mut response =
                    answer::denial(limits.headers, limits.limiter.limits(), decision);
                response.extensions_mut().insert(decision);
                return Ok(response);
            }
            request.extensions_mut().insert(decision);
            let mut response = inner.call(request).await?;
            let all = limits.limiter.limits();
            answer::write_headers(response.headers_mut(), limits.headers, all, decision);
            response.extensions_mut().insert(decision);
            Ok(response)
        })
    }
}
