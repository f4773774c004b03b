//! The middleware.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::response::Parts;
use http::{Request, Response, StatusCode};
use larder_store::Error;
use larder_toolkit::rate_limit::{Decision, Limit, Limiter};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use tower_layer::Layer;
use tower_service::Service;

use crate::caller::{Caller, Head, NoCaller};
use crate::denial::{Denial, OnDenied, Problem};
use crate::headers::{self, Headers};

/// How many permits a request takes. A closure will do.
pub trait Costs: Send + Sync + 'static {
    /// The permits that this request takes. One that takes none passes, unless its caller is blocked.
    fn permits(&self, head: &Head<'_>) -> u32;
}

impl<F: Fn(&Head<'_>) -> u32 + Send + Sync + 'static> Costs for F {
    fn permits(&self, head: &Head<'_>) -> u32 {
        self(head)
    }
}

/// What becomes of a request that does not say from whom it is. In a file of settings it is `refuse 400`,
/// with any status, or `pass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutCaller {
    /// It is answered with this status.
    Refuse(StatusCode),
    /// It passes, and no limit is asked.
    Pass,
}

impl FromStr for WithoutCaller {
    type Err = Error;

    fn from_str(text: &str) -> Result<WithoutCaller, Error> {
        let refuses = text.strip_prefix("refuse ").map(str::parse);
        match (text, refuses) {
            ("pass", _) => Ok(WithoutCaller::Pass),
            (_, Some(Ok(status))) => Ok(WithoutCaller::Refuse(status)),
            _ => Err(Error::invalid(format_args!(
                "without a caller a request does \"pass\", or \"refuse 400\" with any status, not {text:?}"
            ))),
        }
    }
}

impl fmt::Display for WithoutCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WithoutCaller::Refuse(status) => write!(f, "refuse {}", status.as_u16()),
            WithoutCaller::Pass => f.write_str("pass"),
        }
    }
}

impl<'de> Deserialize<'de> for WithoutCaller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WithoutCaller, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for WithoutCaller {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Asks a limiter before each request.
///
/// A request that is allowed passes, and its answer says in `RateLimit-Policy` and `RateLimit` what
/// is left, beside what other layers say there. One that is denied is answered with status 429,
/// `Retry-After`, the same headers, and a problem of the type `quota-exceeded` in JSON; or as
/// [`RateLimitLayer::on_denied`] says, which any type of body can be used with. The policies are called
/// after the limits ([`Limit::named`]).
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
/// use axum::{Router, body::Body, routing::get};
/// use larder_http::{PeerIp, RateLimitLayer};
/// use larder_toolkit::rate_limit::{Limit, Limiter, Quota, WithoutStore};
///
/// let limiter = Limiter::new(&store, "api", Limit::gcra(Quota::per_minute(60)).named("requests"))
///     .without_store(WithoutStore::Allow);
/// let layer = RateLimitLayer::new(limiter, PeerIp::new())
///     .on_denied(|denial, _| denial.status_only::<Body>().map(|_| Body::from("slow down")))
///     .refund_if(|answer| answer.status.is_server_error());
/// let api: Router = Router::new().route("/", get(async || "hello")).layer(layer);
/// # Ok(()) });
/// ```
pub struct RateLimitLayer<A = Problem> {
    rules: Arc<Rules>,
    answers: Arc<A>,
}

/// What the clones of a layer, and its services, share.
#[derive(Clone)]
struct Rules {
    limiter: Limiter,
    caller: Arc<dyn Caller>,
    costs: Option<Arc<dyn Costs>>,
    skips: Option<Arc<Skips>>,
    refunds: Option<Arc<Refunds>>,
    headers: Headers,
    without_caller: WithoutCaller,
}

type Skips = dyn Fn(&Head<'_>) -> bool + Send + Sync;
type Refunds = dyn Fn(&Parts) -> bool + Send + Sync;

impl RateLimitLayer {
    /// Asks this limiter, for callers told apart like this. A request costs one permit, and one
    /// that does not say from whom it is is refused with status 400.
    pub fn new(limiter: Limiter, caller: impl Caller) -> RateLimitLayer {
        RateLimitLayer {
            rules: Arc::new(Rules {
                limiter,
                caller: Arc::new(caller),
                costs: None,
                skips: None,
                refunds: None,
                headers: Headers {
                    standard: true,
                    legacy: false,
                },
                without_caller: WithoutCaller::Refuse(StatusCode::BAD_REQUEST),
            }),
            answers: Arc::new(Problem),
        }
    }
}

impl<A> RateLimitLayer<A> {
    /// What to answer to requests that are not let through. The headers are added to it, and
    /// `Retry-After` if it has none.
    #[must_use]
    pub fn on_denied<F, R>(self, answers: F) -> RateLimitLayer<F>
    where
        F: Fn(&Denial, &Head<'_>) -> Response<R> + Send + Sync + 'static,
    {
        RateLimitLayer {
            rules: self.rules,
            answers: Arc::new(answers),
        }
    }

    /// Takes so many permits for a request.
    #[must_use]
    pub fn costs(self, costs: impl Costs) -> RateLimitLayer<A> {
        self.with(|rules| rules.costs = Some(Arc::new(costs)))
    }

    /// Lets a request pass for which this is true, and asks no limit.
    #[must_use]
    pub fn skip_if(
        self,
        skips: impl Fn(&Head<'_>) -> bool + Send + Sync + 'static,
    ) -> RateLimitLayer<A> {
        self.with(|rules| rules.skips = Some(Arc::new(skips)))
    }

    /// Gives the permits back of a request for whose answer this is true, or that failed without one:
    /// one round trip more, before the answer.
    #[must_use]
    pub fn refund_if(
        self,
        refunds: impl Fn(&Parts) -> bool + Send + Sync + 'static,
    ) -> RateLimitLayer<A> {
        self.with(|rules| rules.refunds = Some(Arc::new(refunds)))
    }

    /// What to do with a request that does not say from whom it is.
    #[must_use]
    pub fn without_caller(self, policy: WithoutCaller) -> RateLimitLayer<A> {
        self.with(|rules| rules.without_caller = policy)
    }

    /// Whether `RateLimit-Policy` and `RateLimit` are written, as they are by default.
    #[must_use]
    pub fn headers(self, are_written: bool) -> RateLimitLayer<A> {
        self.with(|rules| rules.headers.standard = are_written)
    }

    /// Whether `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now) are written
    /// too, as some clients expect. They are not by default.
    #[must_use]
    pub fn legacy_headers(self, are_written: bool) -> RateLimitLayer<A> {
        self.with(|rules| rules.headers.legacy = are_written)
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> RateLimitLayer<A> {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

impl Rules {
    fn permits(&self, head: &Head<'_>) -> u32 {
        self.costs.as_ref().map_or(1, |costs| costs.permits(head))
    }

    async fn decide(&self, caller: &str, permits: u32) -> Decision {
        match self.limiter.take(caller, permits).await {
            Ok(decision) => decision,
            Err(error) => {
                tracing::warn!(%error, "a request was refused because its limit was not checked");
                Decision::Unchecked { is_allowed: false }
            }
        }
    }

    /// Whether a request with this answer, or none, costs nothing.
    fn gives_back(&self, answer: Option<&Parts>) -> bool {
        let refunds = self.refunds.as_ref();
        refunds.is_some_and(|refunds| answer.is_none_or(|parts| refunds(parts)))
    }

    /// Gives back what was taken. The decision is what is there then.
    async fn refund(&self, caller: &str, decision: Decision) -> Decision {
        let Decision::Allowed { permit, .. } = &decision else {
            return decision;
        };
        match self.limiter.refund(caller, permit).await {
            Ok(decision) => decision,
            Err(error) => {
                tracing::warn!(%error, "permits were not given back");
                decision
            }
        }
    }

    /// Why a request with this decision is not let through, if it is not.
    fn denial(&self, decision: &Decision) -> Option<Denial> {
        let name = |limit: usize| {
            let limit = self.limiter.limits().get(limit);
            limit.map(Limit::name).unwrap_or_default().to_owned()
        };
        match decision {
            decision if decision.is_allowed() => None,
            Decision::Denied {
                retry_after, limit, ..
            } => Some(Denial::TooMany {
                limit: name(*limit),
                retry_after: *retry_after,
            }),
            Decision::Never { size, limit } => Some(Denial::Never {
                limit: name(*limit),
                size: *size,
            }),
            _ => Some(Denial::Unchecked),
        }
    }

    /// Why a request without a caller is not let through, if it is not.
    fn no_caller(&self, reason: NoCaller) -> Option<Denial> {
        match self.without_caller {
            WithoutCaller::Pass => None,
            WithoutCaller::Refuse(_) if reason.is_of_the_server() => Some(Denial::NoCaller {
                reason,
                status: StatusCode::INTERNAL_SERVER_ERROR,
            }),
            WithoutCaller::Refuse(status) => Some(Denial::NoCaller { reason, status }),
        }
    }

    fn write_headers<R>(&self, response: &mut Response<R>, decision: &Decision) {
        let limits = self.limiter.limits();
        headers::write_headers(response.headers_mut(), self.headers, limits, decision);
        response.extensions_mut().insert(decision.clone());
    }
}

impl<A> Clone for RateLimitLayer<A> {
    fn clone(&self) -> RateLimitLayer<A> {
        RateLimitLayer {
            rules: Arc::clone(&self.rules),
            answers: Arc::clone(&self.answers),
        }
    }
}

impl<A> fmt::Debug for RateLimitLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.rules.limiter)
            .finish_non_exhaustive()
    }
}

impl<S, A> Layer<S> for RateLimitLayer<A> {
    type Service = RateLimit<S, A>;

    fn layer(&self, inner: S) -> RateLimit<S, A> {
        RateLimit {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests are limited: what [`RateLimitLayer`] makes.
pub struct RateLimit<S, A = Problem> {
    inner: S,
    layer: RateLimitLayer<A>,
}

impl<S: Clone, A> Clone for RateLimit<S, A> {
    fn clone(&self) -> RateLimit<S, A> {
        RateLimit {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S: fmt::Debug, A> fmt::Debug for RateLimit<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, A, B, R> Service<Request<B>> for RateLimit<S, A>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    A: OnDenied<R>,
    B: Send + 'static,
    R: Send + 'static,
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
        let RateLimitLayer { rules, answers } = self.layer.clone();
        let head = Head::of(&request);
        if rules.skips.as_ref().is_some_and(|skips| skips(&head)) {
            return Box::pin(inner.call(request));
        }
        let (caller, permits) = (rules.caller.name(&head), rules.permits(&head));
        Box::pin(async move {
            let caller = match caller {
                Ok(caller) => caller,
                Err(reason) => {
                    return match rules.no_caller(reason) {
                        Some(denial) => Ok(answers.answer(&denial, &Head::of(&request))),
                        None => inner.call(request).await,
                    };
                }
            };
            let decision = rules.decide(&caller, permits).await;
            if let Some(denial) = rules.denial(&decision) {
                let mut response = answers.answer(&denial, &Head::of(&request));
                if let Some(retry_after) = denial.retry_after() {
                    headers::write_retry_after(response.headers_mut(), retry_after);
                }
                rules.write_headers(&mut response, &decision);
                return Ok(response);
            }
            request.extensions_mut().insert(decision.clone());
            let answer = inner.call(request).await.map(Response::into_parts);
            let parts = answer.as_ref().ok().map(|(parts, _)| parts);
            let decision = match rules.gives_back(parts) {
                true => rules.refund(&caller, decision).await,
                false => decision,
            };
            let (parts, body) = answer?;
            let mut response = Response::from_parts(parts, body);
            rules.write_headers(&mut response, &decision);
            Ok(response)
        })
    }
}
