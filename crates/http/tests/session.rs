//! Sessions of a web server, as a browser meets them, on every kind of store.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE, USER_AGENT};
use http::{Request, StatusCode};
use larder_http::{HttpError, PeerAddress, PeerIp, Session, SessionLayer};
use larder_testkit::{TestStore, every_store};
use larder_toolkit::session::{Device, Sessions};
use tower::ServiceExt;

type Cart = Vec<u32>;

fn sessions(test: &TestStore) -> Sessions<Cart> {
    Sessions::new(&test.store, "shop")
}

/// A shop: what each path does is its name.
fn shop(sessions: Sessions<Cart>) -> Router {
    Router::new()
        .route("/nothing", get(async || "nothing"))
        .route("/cart", get(cart))
        .route("/user", get(user))
        .route("/add/{id}", post(add))
        .route("/look-twice", get(look_twice))
        .route("/log-in/{user}", post(log_in))
        .route("/log-out", post(log_out))
        .route("/log-out-everywhere", post(log_out_everywhere))
        .route("/rotate", post(rotate))
        .layer(SessionLayer::new(sessions))
}

async fn cart(session: Session<Cart>) -> Result<String, HttpError> {
    Ok(format!("{:?}", session.get().await?))
}

async fn user(session: Session<Cart>) -> Result<String, HttpError> {
    Ok(session.user().await?.unwrap_or("nobody".to_owned()))
}

async fn add(session: Session<Cart>, Path(id): Path<u32>) -> Result<String, HttpError> {
    let len = session.update(|cart| {
        cart.push(id);
        cart.len()
    });
    Ok(len.await?.to_string())
}

async fn look_twice(session: Session<Cart>) -> Result<String, HttpError> {
    session.get().await?;
    session.update(|cart| cart.sort_unstable()).await?;
    Ok(format!("{:?}", session.get().await?))
}

async fn log_in(session: Session<Cart>, Path(user): Path<String>) -> Result<(), HttpError> {
    Ok(session.log_in(&user).await?)
}

async fn log_out(session: Session<Cart>) -> Result<String, HttpError> {
    Ok(session.log_out().await?.to_string())
}

async fn log_out_everywhere(session: Session<Cart>) -> Result<String, HttpError> {
    Ok(session.log_out_everywhere().await?.to_string())
}

async fn rotate(session: Session<Cart>) -> Result<String, HttpError> {
    Ok(session.rotate().await?.to_string())
}

/// A browser, with the cookie that it has now.
#[derive(Clone)]
struct Browser {
    shop: Router,
    cookie: Option<String>,
}

/// What came for a request.
struct Answer {
    status: StatusCode,
    body: String,
    set_cookie: Vec<String>,
    cache_control: Option<String>,
    retry_after: Option<String>,
}

impl Browser {
    fn new(shop: &Router) -> Browser {
        Browser {
            shop: shop.clone(),
            cookie: None,
        }
    }

    fn with(shop: &Router, token: &str) -> Browser {
        let mut browser = Browser::new(shop);
        browser.cookie = Some(format!("__Host-session={token}"));
        browser
    }

    /// Sends a request, and does not look at the cookie in its answer.
    async fn send(&self, path: &str) -> Answer {
        let method = if path.starts_with("/look") || ["/cart", "/user", "/nothing"].contains(&path)
        {
            "GET"
        } else {
            "POST"
        };
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::empty()).expect("it is a request");
        let response = self
            .shop
            .clone()
            .oneshot(request)
            .await
            .expect("it can't fail");
        let text = |value: &http::HeaderValue| value.to_str().expect("it is text").to_owned();
        let headers = response.headers();
        Answer {
            status: response.status(),
            set_cookie: headers.get_all(SET_COOKIE).iter().map(text).collect(),
            cache_control: headers.get(CACHE_CONTROL).map(text),
            retry_after: headers.get(RETRY_AFTER).map(text),
            body: String::from_utf8(
                to_bytes(response.into_body(), 10_000)
                    .await
                    .expect("it is short")
                    .into(),
            )
            .expect("it is text"),
        }
    }

    fn take(&mut self, answer: &Answer) {
        for cookie in &answer.set_cookie {
            let pair = cookie.split(';').next().expect("it has a beginning");
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
    }

    async fn ask(&mut self, path: &str) -> Answer {
        let answer = self.send(path).await;
        self.take(&answer);
        answer
    }

    /// Asks for what has to succeed.
    async fn get(&mut self, path: &str) -> String {
        let answer = self.ask(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.body
    }
}

every_store! {
    async fn a_visitor_gets_a_session_when_something_is_written_and_not_before(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test)));
        for path in ["/nothing", "/cart", "/user", "/rotate", "/log-out-everywhere"] {
            let answer = browser.ask(path).await;
            assert_eq!((answer.status, answer.set_cookie.len()), (StatusCode::OK, 0), "{path}");
        }
        assert_eq!(test.keys("*").await?, [""; 0]);

        let answer = browser.ask("/add/7").await;
        let [cookie] = &answer.set_cookie[..] else {
            return Err("no cookie".into());
        };
        assert!(cookie.starts_with("__Host-session="), "{cookie}");
        for part in ["; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Max-Age=2592000"] {
            assert!(cookie.contains(part), "{part}: {cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
        assert_eq!(answer.cache_control.as_deref(), Some("no-store"));
        assert_eq!(browser.get("/cart").await, "[7]");
        assert_eq!(browser.get("/add/8").await, "2");
    }

    async fn what_is_not_asked_for_is_not_loaded_and_what_is_not_changed_is_not_saved(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.create_anonymous(vec![1, 2]).await?;
        let mut browser = Browser::with(&shop(sessions.clone()), made.token());
        assert_eq!(browser.ask("/look-twice").await.set_cookie, [""; 0]);
        let now = sessions.load(made.token()).await?.ok_or("no session")?;
        assert_eq!(now.version(), 1);

        test.store.close().await?;
        assert_eq!(browser.get("/nothing").await, "nothing");
    }

    async fn without_the_store_the_answer_says_when_to_come_back(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test)));
        browser.get("/add/7").await;
        let cookie = browser.cookie.clone();
        test.store.close().await?;
        for path in ["/cart", "/add/8", "/log-in/ann", "/log-out", "/rotate"] {
            let answer = browser.ask(path).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(answer.retry_after.as_deref(), Some("5"), "{path}");
            assert_eq!(browser.cookie, cookie, "{path}");
        }
    }

    async fn who_logs_in_keeps_the_cart_and_who_logs_out_has_none(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test)));
        browser.get("/add/7").await;
        browser.get("/log-in/ann").await;
        assert_eq!((browser.get("/user").await, browser.get("/cart").await), ("ann".into(), "[7]".into()));

        assert_eq!(browser.get("/log-out").await, "true");
        assert_eq!(browser.cookie, None);
        assert_eq!((browser.get("/user").await, browser.get("/cart").await), ("nobody".into(), "[]".into()));
    }

    async fn who_logs_out_everywhere_is_out_in_other_browsers_too(test: TestStore) {
        let shop = shop(sessions(&test));
        let (mut one, mut other) = (Browser::new(&shop), Browser::new(&shop));
        one.get("/log-in/ann").await;
        other.get("/log-in/ann").await;
        assert_eq!(one.get("/log-out-everywhere").await, "2");
        assert_eq!((one.cookie.clone(), other.get("/user").await), (None, "nobody".into()));
    }

    /// Session fixation: a token that somebody has planted is worth nothing after the login.
    async fn a_token_that_was_planted_does_not_lead_to_the_login(test: TestStore) {
        let shop = shop(sessions(&test));
        let mut mallory = Browser::new(&shop);
        mallory.get("/add/666").await;
        let mut ann = mallory.clone();
        ann.get("/log-in/ann").await;
        assert_ne!(ann.cookie, mallory.cookie);

        assert_eq!((mallory.get("/user").await, mallory.get("/cart").await), ("nobody".into(), "[]".into()));
        mallory.get("/log-in/mallory").await;
        assert_eq!((mallory.get("/user").await, ann.get("/user").await), ("mallory".into(), "ann".into()));
        assert_eq!(mallory.get("/cart").await, "[]");
    }

    /// A token that the server has not made is never given to a session.
    async fn a_token_that_was_made_up_is_not_taken_up(test: TestStore) {
        let shop = shop(sessions(&test));
        let made_up = format!("{}.{}", "a".repeat(32), "b".repeat(64));
        for token in [made_up.as_str(), "", "x", "\"quoted\""] {
            let mut browser = Browser::with(&shop, token);
            assert_eq!(browser.get("/user").await, "nobody");
            browser.get("/add/7").await;
            let cookie = browser.cookie.clone().ok_or("no cookie")?;
            assert!(cookie.len() == "__Host-session=".len() + 97 && !cookie.contains(&made_up));
            assert_eq!(Browser::with(&shop, token).get("/cart").await, "[]");
        }
    }

    /// Where another user forgot to log out.
    async fn what_another_user_left_is_not_handed_on(test: TestStore) {
        let sessions = sessions(&test);
        let mut browser = Browser::new(&shop(sessions.clone()));
        browser.get("/log-in/ann").await;
        browser.get("/add/7").await;
        browser.get("/log-in/bob").await;
        assert_eq!((browser.get("/user").await, browser.get("/cart").await), ("bob".into(), "[]".into()));
        assert_eq!(sessions.count("ann").await?, 0);
    }

    /// A page fires five requests with one cookie, and one of them rotates it.
    async fn requests_beside_a_rotation_are_of_the_same_session(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test)));
        browser.get("/log-in/ann").await;
        let before = browser.clone();
        browser.get("/rotate").await;
        for (path, body) in [("/add/1", "1"), ("/rotate", "true"), ("/add/2", "2"), ("/user", "ann")] {
            let answer = before.send(path).await;
            assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, body));
            // It may come last: it brings the same token.
            let token = answer.set_cookie[0].split(';').next().map(str::to_owned);
            assert_eq!(token, browser.cookie);
        }
        assert_eq!(browser.get("/cart").await, "[1, 2]");
    }

    /// A page fires five requests with one cookie, and one of them logs in.
    async fn requests_beside_a_login_do_not_take_its_cookie_away(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test)));
        browser.get("/add/7").await;
        let before = browser.clone();
        browser.get("/log-in/ann").await;
        for (path, status) in [("/cart", 200), ("/add/8", 409), ("/user", 200), ("/rotate", 200)] {
            let answer = before.send(path).await;
            assert_eq!((answer.status.as_u16(), answer.set_cookie.len()), (status, 0), "{path}");
            browser.take(&answer);
        }
        assert_eq!((browser.get("/user").await, browser.get("/cart").await), ("ann".into(), "[7]".into()));

        // To send the form again is to be logged in.
        let again = before.send("/log-in/ann").await;
        assert_eq!(again.set_cookie[0].split(';').next().map(str::to_owned), browser.cookie);
    }

    async fn requests_at_once_lose_no_change(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test)));
        browser.get("/add/0").await;
        let requests: Vec<_> = (1..=20)
            .map(|id| {
                let browser = browser.clone();
                tokio::spawn(async move { browser.send(&format!("/add/{id}")).await.status })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await?, StatusCode::OK);
        }
        assert_eq!(browser.get("/look-twice").await, format!("{:?}", (0..=20).collect::<Vec<_>>()));
    }

    async fn a_session_that_has_expired_is_begun_anew(test: TestStore) {
        let mut browser = Browser::new(&shop(sessions(&test).idle(Duration::from_secs(1))));
        browser.get("/add/7").await;
        let before = browser.cookie.clone();
        test.pass(Duration::from_secs(1)).await;
        assert_eq!(browser.get("/cart").await, "[]");
        browser.get("/add/8").await;
        assert_eq!(browser.get("/cart").await, "[8]");
        assert_ne!(browser.cookie, before);
    }
}

#[tokio::test]
async fn without_its_layer_a_session_is_an_error_of_the_server() {
    let shop = Router::new().route("/cart", get(cart));
    let answer = Browser::new(&shop).send("/cart").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

every_store! {
    /// A user who sees a session that is none of theirs can end it.
    async fn the_devices_of_a_user_are_listed_if_the_application_wants_that(test: TestStore) {
        let sessions = sessions(&test);
        let log_in = async |layer: SessionLayer<Cart>, agent: &str| {
            let app = Router::new().route("/log-in/{user}", post(log_in)).layer(layer);
            let request = Request::post("/log-in/ann")
                .header(USER_AGENT, agent)
                .extension(PeerAddress([192, 0, 2, 7].into()));
            app.oneshot(request.body(Body::empty()).expect("it is one")).await
        };
        let layer = SessionLayer::new(sessions.clone());
        log_in(layer.clone(), "curl/8").await?;
        log_in(layer.note_devices(PeerIp::new()), "Firefox/140").await?;

        let mut devices: Vec<_> = sessions.list("ann").await?.into_iter().map(|one| one.device).collect();
        devices.sort_by_key(Option::is_some);
        let firefox = Device::new().user_agent("Firefox/140").address([192, 0, 2, 7].into());
        assert_eq!(devices, [None, Some(firefox)]);
    }
}
