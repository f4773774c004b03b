//! The page, and what it asks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::middleware::map_response_with_state;
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::Stream;
use larder::http::{PeerIp, RateLimitLayer, Session, SessionLayer};
use larder::rate_limit::Decision;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::catalogue::{self, Product};
use super::crowd::Crowd;
use super::shop::{Error, Shop, Visit};
use super::telling::{Leader, Stats, Telling};

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
    // The demo is plain HTTP on the loopback address; a real shop leaves both settings out.
    let sessions = SessionLayer::new(shop.sessions())
        .cookie_name("larder-demo")
        .insecure_for_development();
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
        .layer(sessions)
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
            Error::Store(error) => larder::http::HttpError(error.clone()).status(),
            Error::LockLost(_) => StatusCode::SERVICE_UNAVAILABLE,
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

/// Who has logged in.
async fn visitor(session: &Session<Visit>) -> Result<String, Error> {
    session.user().await?.ok_or(Error::NotLoggedIn)
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn login(
    State(app): State<App>,
    session: Session<Visit>,
    Json(login): Json<Login>,
) -> Result<Json<Value>, Error> {
    let name = Shop::name(&login.name)?;
    session.log_in(name).await?;
    app.shop.welcome(name).await?;
    Ok(Json(json!({ "name": name })))
}

async fn me(session: Session<Visit>) -> Result<Json<Value>, Error> {
    let user = visitor(&session).await?;
    let sessions = session.sessions().count(&user).await?;
    let Visit { orders } = session.get().await?;
    Ok(Json(
        json!({ "name": user, "sessions": sessions, "orders": orders }),
    ))
}

async fn logout(session: Session<Visit>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "ended": session.log_out().await? })))
}

async fn logout_everywhere(
    State(app): State<App>,
    session: Session<Visit>,
) -> Result<Json<Value>, Error> {
    let user = visitor(&session).await?;
    let ended = session.log_out_everywhere().await?;
    app.shop
        .tell(&format!("{user} logged out everywhere"))
        .await?;
    Ok(Json(json!({ "ended": ended })))
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
    session: Session<Visit>,
    Json(order): Json<NewOrder>,
) -> Result<Json<Value>, Error> {
    let user = visitor(&session).await?;
    let id = app.shop.order(&user, order.product).await?;
    match session.update(|visit| visit.orders += 1).await {
        // The order is in the stream, though the visit has ended meanwhile.
        Ok(()) | Err(larder::Error::Gone) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Json(json!({ "id": id.to_string() })))
}

async fn hold_stock(State(app): State<App>, Path(id): Path<u32>) -> Result<Json<Value>, Error> {
    Ok(Json(
        json!({ "token": app.shop.hold_stock(id, HOLD).await? }),
    ))
}

async fn around(
    State(app): State<App>,
    session: Session<Visit>,
) -> Result<Json<Vec<Leader>>, Error> {
    let user = visitor(&session).await?;
    let entries = app.shop.around(&user).await?;
    Ok(Json(entries.into_iter().map(Leader::from).collect()))
}
