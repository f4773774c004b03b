//! `axum-login` on `tower-sessions` on every kind of store.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::routing::{get, post};
use axum_login::tower_sessions::cookie::time::{self, OffsetDateTime};
use axum_login::tower_sessions::{Expiry, SessionManagerLayer};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use http::header::{COOKIE, SET_COOKIE};
use http::{Request, StatusCode};
use larder_http::TowerSessions;
use larder_testkit::{TestStore, every_store};
use larder_toolkit::session::Secret;
use tower::ServiceExt;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Session, SessionStore};

#[derive(Clone, Debug)]
struct User(String);

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.0.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Lets everybody in but Mallory.
#[derive(Clone, Debug)]
struct Everybody;

impl AuthnBackend for Everybody {
    type User = User;
    type Credentials = String;
    type Error = std::convert::Infallible;

    async fn authenticate(&self, name: String) -> Result<Option<User>, Self::Error> {
        Ok((name != "mallory").then_some(User(name)))
    }

    async fn get_user(&self, id: &UserId<Everybody>) -> Result<Option<User>, Self::Error> {
        Ok(Some(User(id.clone())))
    }
}

fn app(test: &TestStore) -> Router {
    let sessions = SessionManagerLayer::new(TowerSessions::new(&test.store, "shop"))
        .with_expiry(Expiry::OnInactivity(time_of(3600)));
    Router::new()
        .route("/user", get(user))
        .route("/add/{item}", post(add))
        .route("/log-in/{name}", post(log_in))
        .route("/log-out", post(log_out))
        .layer(AuthManagerLayerBuilder::new(Everybody, sessions).build())
}

fn time_of(seconds: i64) -> time::Duration {
    time::Duration::seconds(seconds)
}

async fn user(auth: AuthSession<Everybody>) -> String {
    auth.user.map_or("nobody".to_owned(), |user| user.0)
}

async fn add(session: Session, Path(item): Path<String>) -> Result<String, StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let mut cart: Vec<String> = session
        .get("cart")
        .await
        .map_err(failed)?
        .unwrap_or_default();
    cart.push(item);
    session.insert("cart", &cart).await.map_err(failed)?;
    Ok(cart.join(" "))
}

async fn log_in(mut auth: AuthSession<Everybody>, Path(name): Path<String>) -> StatusCode {
    let Ok(Some(user)) = auth.authenticate(name).await else {
        return StatusCode::UNAUTHORIZED;
    };
    match auth.login(&user).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn log_out(mut auth: AuthSession<Everybody>) -> StatusCode {
    match auth.logout().await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Sends a request with this cookie; a cookie in the answer takes its place.
async fn send(app: &Router, cookie: &mut Option<String>, path: &str) -> (StatusCode, String) {
    let method = if path == "/user" { "GET" } else { "POST" };
    let mut request = Request::builder().method(method).uri(path);
    if let Some(cookie) = &cookie {
        request = request.header(COOKIE, cookie);
    }
    let request = request.body(Body::empty()).expect("it is a request");
    let response = app.clone().oneshot(request).await.expect("it can't fail");
    if let Some(set) = response.headers().get(SET_COOKIE) {
        let pair = set.to_str().expect("it is text").split(';').next();
        *cookie = pair.filter(|pair| !pair.ends_with('=')).map(str::to_owned);
    }
    let status = response.status();
    let body = to_bytes(response.into_body(), 10_000)
        .await
        .expect("it is short");
    (status, String::from_utf8(body.into()).expect("it is text"))
}

every_store! {
    async fn who_logs_in_stays_so_over_requests_and_processes_until_the_logout(test: TestStore) {
        let mut cookie = None;
        assert_eq!(send(&app(&test), &mut cookie, "/user").await.1, "nobody");
        assert_eq!(send(&app(&test), &mut cookie, "/add/tea").await.1, "tea");
        assert_eq!(send(&app(&test), &mut cookie, "/log-in/mallory").await.0, StatusCode::UNAUTHORIZED);
        let before = cookie.clone();
        assert_eq!(send(&app(&test), &mut cookie, "/log-in/ann").await.0, StatusCode::OK);
        assert_ne!(cookie, before);

        // Each application is as another process: nothing is in its memory.
        assert_eq!(send(&app(&test), &mut cookie, "/user").await.1, "ann");
        assert_eq!(send(&app(&test), &mut cookie, "/add/jam").await.1, "tea jam");
        assert_eq!(send(&app(&test), &mut before.clone(), "/user").await.1, "nobody");

        let after = cookie.clone();
        assert_eq!(send(&app(&test), &mut cookie, "/log-out").await.0, StatusCode::OK);
        assert_eq!(send(&app(&test), &mut after.clone(), "/user").await.1, "nobody");
    }

    async fn a_record_is_kept_until_its_end_and_one_that_was_deleted_stays_so(test: TestStore) {
        let secret = Secret::new([7; 32])?;
        let store = TowerSessions::new(&test.store, "shop").secret(secret);
        let mut record = Record {
            id: Id(42),
            data: HashMap::from([("cart".to_owned(), "tea".into())]),
            expiry_date: in_a_second(),
        };
        store.create(&mut record).await?;
        assert_eq!(store.load(&record.id).await?, Some(record.clone()));

        let mut other = record.clone();
        store.create(&mut other).await?;
        assert_ne!(other.id, record.id);

        record.data.clear();
        store.save(&record).await?;
        assert_eq!(store.load(&record.id).await?, Some(record.clone()));
        store.delete(&record.id).await?;
        assert!(store.save(&record).await.is_err());
        assert_eq!(store.load(&record.id).await?, None);

        test.pass(Duration::from_secs(1)).await;
        assert_eq!(store.load(&other.id).await?, None);
        assert_eq!(test.keys("*").await?, [""; 0]);
    }
}

fn in_a_second() -> OffsetDateTime {
    OffsetDateTime::now_utc() + time_of(1)
}
