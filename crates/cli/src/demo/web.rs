//! The page, and what it asks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response_with_state;
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::Stream;
use larder::http::{PeerIp, RateLimitLayer};
use larder::rate_limit::Decision;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::catalogue::{self, Product};
use super::crowd::Crowd;
use super::shop::{Error, Shop, Visit};
use super::telling::{Leader, Stats, Telling};

/// The cookie that holds the token of a session. The demo is plain HTTP on the loopback address; a
/// real shop would say `Secure` as well, and name it `__Host-...`.
const COOKIE: &str = "larder-demo";

/// How long a person may hold a lock by a click.
const HOLD: Duration = Duration::from_secs(3);

/// What all handlers share.
#[derive(Clone)]
struct App {
    shop: Arc<Shop>,
    crowd: Arc<Crowd>,
    telling: Telling,
}

/// All routes of the demo.
pub(crate) fn routes(shop: Arc<Shop>, crowd: Arc<Crowd>, telling: Telling) -> Router {
    let limited = get(limited)
        .layer(RateLimitLayer::new(shop.limiter(), PeerIp::new()))
        .layer(map_response_with_state(Arc::clone(&shop), count_decision));
    Router::new()
        .route(
            "/",
            get(|| page("text/html; charset=utf-8", include_str!("page/index.html"))),
        )
        .route(
            "/style.css",
            get(|| page("text/css; charset=utf-8", include_str!("page/style.css"))),
        )
        .route(
            "/page.js",
            get(|| {
                page(
                    "text/javascript; charset=utf-8",
                    include_str!("page/page.js"),
                )
            }),
        )
        .route("/events", get(events))
        .route("/api/stats", get(stats))
        .route("/api/crowd", put(set_crowd))
        .route("/api/login", post(login))
        .route("/api/me", get(me))
        .route("/api/logout", post(logout))
        .route("/api/logout/all", post(logout_everywhere))
        .route("/api/products", get(products))
        .route("/api/products/clear", post(clear_catalogue))
        .route("/api/products/{id}", get(product))
        .route("/api/products/{id}/price", post(reprice))
        .route("/api/limited", limited)
        .route("/api/orders", post(order))
        .route("/api/stock/{id}/hold", post(hold_stock))
        .route("/api/leaders/around", get(around))
        .with_state(App {
            shop,
            crowd,
            telling,
        })
}

async fn page(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], text)
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Error::NoSuchProduct | Error::NotOnTheBoard => StatusCode::NOT_FOUND,
            Error::BadName | Error::TooManyVisitors { .. } => StatusCode::BAD_REQUEST,
            Error::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Error::Store(larder::Error::TimedOut { .. }) => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

// --- live -----------------------------------------------------------------------------------

async fn stats(State(app): State<App>) -> impl IntoResponse {
    Json(Stats::clone(&app.telling.stats().borrow()))
}

/// The figures twice a second, and each event as it comes.
async fn events(State(app): State<App>) -> impl IntoResponse {
    let (mut stats, events) = (app.telling.stats(), app.telling.events());
    stats.mark_changed();
    let state = (stats, events, app.telling.stopped());
    let stream = futures_util::stream::unfold(state, |(mut stats, mut events, stop)| async move {
        let event = tokio::select! {
            () = stop.cancelled() => return None,
            changed = stats.changed() => {
                changed.ok()?;
                let stats = Arc::clone(&stats.borrow_and_update());
                sse::Event::default().event("stats").json_data(&*stats)
            }
            event = events.recv() => {
                let text = match event {
                    Ok(text) => text,
                    Err(RecvError::Lagged(count)) => format!("({count} events skipped)").into(),
                    Err(RecvError::Closed) => return None,
                };
                sse::Event::default().event("shop").json_data(&*text)
            }
        };
        Some((
            Ok::<_, Infallible>(event.unwrap_or_default()),
            (stats, events, stop),
        ))
    });
    live(stream)
}

fn live(stream: impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(stream)
        .keep_alive(sse::KeepAlive::default())
        .into_response()
}

#[derive(Deserialize)]
struct Visitors {
    visitors: u32,
}

async fn set_crowd(
    State(app): State<App>,
    Json(Visitors { visitors }): Json<Visitors>,
) -> Result<Json<Value>, Error> {
    if visitors > Crowd::VISITORS_MAX {
        return Err(Error::TooManyVisitors {
            max: Crowd::VISITORS_MAX,
        });
    }
    app.crowd.set_visitors(visitors);
    Ok(Json(json!({ "visitors": visitors })))
}

// --- sessions -------------------------------------------------------------------------------

/// The token that a request shows.
fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let pairs = cookies
        .filter_map(|cookie| cookie.to_str().ok())
        .flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token)
}

/// The header that gives a browser its cookie; without a token, one that takes it away.
fn cookie(token: Option<&str>) -> Option<(header::HeaderName, HeaderValue)> {
    let text = match token {
        Some(token) => format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"),
        None => format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
    };
    Some((header::SET_COOKIE, HeaderValue::from_str(&text).ok()?))
}

fn with_cookie(token: Option<&str>, body: Value) -> Response {
    let mut response = Json(body).into_response();
    response.headers_mut().extend(cookie(token));
    response
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn login(State(app): State<App>, Json(login): Json<Login>) -> Result<Response, Error> {
    let session = app.shop.login(&login.name).await?;
    Ok(with_cookie(
        Some(session.token()),
        json!({ "name": session.user() }),
    ))
}

async fn me(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>, Error> {
    let session = app.shop.visitor(token(&headers)).await?;
    let Visit { orders } = session.data;
    let sessions = app.shop.devices(session.user()).await?;
    Ok(Json(
        json!({ "name": session.user(), "sessions": sessions, "orders": orders }),
    ))
}

async fn logout(State(app): State<App>, headers: HeaderMap) -> Result<Response, Error> {
    let ended = app.shop.logout(token(&headers).unwrap_or_default()).await?;
    Ok(with_cookie(None, json!({ "ended": ended })))
}

async fn logout_everywhere(State(app): State<App>, headers: HeaderMap) -> Result<Response, Error> {
    let session = app.shop.visitor(token(&headers)).await?;
    let ended = app.shop.logout_everywhere(session.user()).await?;
    Ok(with_cookie(None, json!({ "ended": ended })))
}

// --- product pages --------------------------------------------------------------------------

async fn products() -> Json<Vec<Product>> {
    Json(catalogue::products().collect())
}

#[derive(Serialize)]
struct ProductPage {
    product: Product,
    cached: bool,
}

async fn product(State(app): State<App>, Path(id): Path<u32>) -> Result<Json<ProductPage>, Error> {
    let (product, cached) = app.shop.product(id).await?;
    Ok(Json(ProductPage { product, cached }))
}

async fn reprice(State(app): State<App>, Path(id): Path<u32>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "cents": app.shop.reprice(id).await? })))
}

async fn clear_catalogue(State(app): State<App>) -> Result<Json<Value>, Error> {
    app.shop.clear_catalogue().await?;
    Ok(Json(json!({})))
}

// --- the limited API ------------------------------------------------------------------------

/// Answers those whom the layer has let in.
async fn limited(Extension(decision): Extension<Decision>) -> Json<Value> {
    let left = match decision {
        Decision::Allowed { left, .. } => Some(left),
        _ => None,
    };
    Json(json!({ "left": left }))
}

/// Counts what the layer has decided.
async fn count_decision(State(shop): State<Arc<Shop>>, response: Response) -> Response {
    if let Some(decision) = response.extensions().get() {
        shop.count_decision(decision);
    }
    response
}

// --- orders, locks, the board ---------------------------------------------------------------

#[derive(Deserialize)]
struct NewOrder {
    product: u32,
}

async fn order(
    State(app): State<App>,
    headers: HeaderMap,
    Json(order): Json<NewOrder>,
) -> Result<Json<Value>, Error> {
    let session = app.shop.visitor(token(&headers)).await?;
    let id = app.shop.order_in(session, order.product).await?;
    Ok(Json(json!({ "id": id.to_string() })))
}

async fn hold_stock(State(app): State<App>, Path(id): Path<u32>) -> Result<Json<Value>, Error> {
    Ok(Json(
        json!({ "token": app.shop.hold_stock(id, HOLD).await? }),
    ))
}

async fn around(State(app): State<App>, headers: HeaderMap) -> Result<Json<Vec<Leader>>, Error> {
    let session = app.shop.visitor(token(&headers)).await?;
    let entries = app.shop.around(session.user()).await?;
    Ok(Json(entries.into_iter().map(Leader::from).collect()))
}
