//! The layer, on every kind of store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderName, Request, Response, StatusCode};
use larder_http::{
    Head, Header, Network, OnDenied, PeerAddress, PeerIp, RateLimitLayer, SameSite, WithoutCaller,
};
use larder_testkit::{TestStore, every_store};
use larder_toolkit::rate_limit::{Decision, Limit, Limiter, Quota, WithoutStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{Layer, Service, ServiceExt};
use tracing_subscriber::fmt::MakeWriter;

fn limiter(test: &TestStore) -> Limiter {
    Limiter::new(
        &test.store,
        "api",
        Limit::gcra(Quota::per_hour(2)).named("api"),
    )
}

fn app<A: OnDenied<Body>>(layer: RateLimitLayer<A>) -> Router {
    Router::new().route("/", get(async || "hello")).layer(layer)
}

fn from(peer: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let peer = PeerAddress(peer.parse().expect("it is an address"));
    request.extensions_mut().insert(peer);
    request
}

fn forwarded(peer: &str, hops: &[&str]) -> Request<Body> {
    let mut request = from(peer);
    for hop in hops {
        let value = hop.parse().expect("it is a value");
        request.headers_mut().append("x-forwarded-for", value);
    }
    request
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.expect("it can't fail")
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

async fn problem(response: Response<Body>) -> serde_json::Value {
    let body = to_bytes(response.into_body(), 10_000)
        .await
        .expect("it is short");
    serde_json::from_slice(&body).expect("it is JSON")
}

every_store! {
    async fn what_is_left_stands_in_the_headers(test: TestStore) {
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()).legacy_headers(true));

        let response = send(&app, from("1.2.3.4")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "ratelimit-policy"), Some("\"api\";q=2;w=3600"));
        assert_eq!(header(&response, "ratelimit"), Some("\"api\";r=1;t=1800"));
        assert_eq!(header(&response, "x-ratelimit-limit"), Some("2"));
        assert_eq!(header(&response, "x-ratelimit-remaining"), Some("1"));
        assert_eq!(header(&response, "x-ratelimit-reset"), Some("1800"));
        assert_eq!(header(&response, "retry-after"), None);
    }

    async fn a_denied_request_is_told_when_to_come_back(test: TestStore) {
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()));
        for _ in 0..2 {
            assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::OK);
        }

        let denied = send(&app, from("1.2.3.4")).await;
        assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&denied, "retry-after"), Some("1800"));
        assert_eq!(header(&denied, "ratelimit"), Some("\"api\";r=0;t=1800"));
        assert_eq!(header(&denied, "x-ratelimit-limit"), None);
        assert_eq!(header(&denied, "content-type"), Some("application/problem+json"));
        let problem = problem(denied).await;
        assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
        assert_eq!(problem["violated-policies"], serde_json::json!(["api"]));

        assert_eq!(send(&app, from("1.2.3.5")).await.status(), StatusCode::OK);
    }

    /// Who comes back a moment too early is denied again.
    async fn seconds_are_rounded_up(test: TestStore) {
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_minute(7)));
        let response = send(&app(RateLimitLayer::new(limiter, PeerIp::new())), from("1.2.3.4")).await;
        assert_eq!(header(&response, "ratelimit"), Some("\"7/m\";r=6;t=9"));
    }

    async fn all_policies_stand_in_the_headers(test: TestStore) {
        let limiter = limiter(&test).and(Limit::fixed_window(Quota::per_day(100)).named("a \"day\""));
        let app = app(RateLimitLayer::new(limiter, PeerIp::new()));

        let response = send(&app, from("1.2.3.4")).await;
        let policies = "\"api\";q=2;w=3600, \"a \\\"day\\\"\";q=100;w=86400";
        assert_eq!(header(&response, "ratelimit-policy"), Some(policies));
    }

    /// What is left is never more than what the policy allows.
    async fn a_burst_is_the_policys_size_and_its_window_the_time_to_save_it_up(test: TestStore) {
        let limit = Limit::gcra(Quota::per_second(4)).burst(10).named("api");
        let limiter = Limiter::new(&test.store, "burst", limit);
        let app = app(RateLimitLayer::new(limiter, PeerIp::new()).legacy_headers(true));

        let response = send(&app, from("1.2.3.4")).await;
        assert_eq!(header(&response, "ratelimit-policy"), Some("\"api\";q=10;w=3"));
        assert_eq!(header(&response, "ratelimit"), Some("\"api\";r=9;t=1"));
        assert_eq!(header(&response, "x-ratelimit-limit"), Some("10"));
        assert_eq!(header(&response, "x-ratelimit-remaining"), Some("9"));
    }

    async fn a_request_without_a_caller_is_refused_or_passes(test: TestStore) {
        let layer = RateLimitLayer::new(limiter(&test), PeerIp::new());
        let refused = send(&app(layer.clone()), Request::new(Body::empty())).await;
        // It is the server that does not add the addresses.
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let title = problem(refused).await["title"].to_string();
        assert!(title.contains("into_make_service_with_connect_info"), "{title}");

        let by_key = RateLimitLayer::new(limiter(&test), Header::new(HeaderName::from_static("x-api-key")));
        let refused = send(&app(by_key), Request::new(Body::empty())).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(problem(refused).await["title"], "the request has no header x-api-key");

        let app = app(layer.without_caller(WithoutCaller::Pass));
        for _ in 0..5 {
            assert_eq!(send(&app, Request::new(Body::empty())).await.status(), StatusCode::OK);
        }
    }

    async fn a_stranger_cant_choose_an_address(test: TestStore) {
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()));
        let mut allowed = 0;
        for number in 0..5 {
            let hop = format!("10.0.0.{number}");
            allowed += u32::from(send(&app, forwarded("1.2.3.4", &[&hop])).await.status() == StatusCode::OK);
        }
        assert_eq!(allowed, 2);
    }

    async fn behind_trusted_proxies_the_last_untrusted_hop_is_the_caller(test: TestStore) {
        let proxies: [Network; 2] = ["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new().behind(proxies)));
        // The same caller each time, whatever stands before it, and however it is written.
        for hops in [&["9.9.9.1, 1.2.3.4"][..], &["9.9.9.2", "1.2.3.4:443, 10.0.0.9"]] {
            assert_eq!(send(&app, forwarded("10.0.0.1", hops)).await.status(), StatusCode::OK);
        }
        let denied = send(&app, forwarded("::ffff:10.0.0.1", &["::ffff:1.2.3.4, [fd00::1]"])).await;
        assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
        let other = send(&app, forwarded("10.0.0.1", &["1.2.3.4, 1.2.3.5"])).await;
        assert_eq!(other.status(), StatusCode::OK);
    }

    async fn an_ipv6_network_is_one_caller(test: TestStore) {
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()));
        for peer in ["2001:db8:0:1::1", "2001:db8:0:1::2"] {
            assert_eq!(send(&app, from(peer)).await.status(), StatusCode::OK);
        }
        let denied = send(&app, from("2001:db8:0:1:ffff::3")).await;
        assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(send(&app, from("2001:db8:0:2::1")).await.status(), StatusCode::OK);
    }

    async fn the_address_of_axums_connection_is_found(test: TestStore) {
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()));
        let mut request = Request::new(Body::empty());
        let peer: std::net::SocketAddr = "1.2.3.4:5678".parse()?;
        request.extensions_mut().insert(ConnectInfo(peer));
        assert_eq!(send(&app, request).await.status(), StatusCode::OK);
    }

    async fn callers_can_be_told_apart_by_a_header_or_a_closure(test: TestStore) {
        let header_name = HeaderName::from_static("x-api-key");
        let by_key = app(RateLimitLayer::new(limiter(&test), Header::new(header_name)));
        let with_key = |key: &str| {
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert("x-api-key", key.parse().expect("it is a value"));
            request
        };
        for (key, expected) in [("a", 200), ("a", 200), ("a", 429), ("b", 200)] {
            assert_eq!(send(&by_key, with_key(key)).await.status(), expected);
        }

        let path = |head: &Head<'_>| Some(head.uri.path().to_owned());
        let by_path = app(RateLimitLayer::new(limiter(&test), path));
        assert_eq!(send(&by_path, Request::new(Body::empty())).await.status(), 200);
    }

    async fn a_request_can_cost_more_and_never_more_than_there_is(test: TestStore) {
        let cost = |head: &Head<'_>| match head.headers.get("x-cost") {
            Some(_) => 3,
            None => 2,
        };
        let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()).costs(cost));
        let mut request = from("1.2.3.4");
        request.headers_mut().insert("x-cost", "3".parse()?);

        let never = send(&app, request).await;
        assert_eq!(never.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&never, "retry-after"), None);
        assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::OK);
        assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }

    async fn a_denied_caller_comes_through_after_the_time_that_it_was_told(test: TestStore) {
        let limiter = Limiter::new(&test.store, "api", Limit::gcra(Quota::per_second(1)));
        let app = app(RateLimitLayer::new(limiter, PeerIp::new()));
        assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::OK);

        let denied = send(&app, from("1.2.3.4")).await;
        let seconds = header(&denied, "retry-after").expect("it is denied").parse()?;
        test.pass(Duration::from_secs(seconds)).await;
        assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::OK);
    }

    async fn the_handler_sees_the_decision(test: TestStore) {
        let layer = RateLimitLayer::new(limiter(&test), PeerIp::new());
        let handler = get(async |Extension(decision): Extension<Decision>| format!("{decision:?}"));
        let app = Router::new().route("/", handler).layer(layer);
        assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::OK);
    }

    async fn without_the_store_the_limiters_policy_decides(test: TestStore) {
        let limiter = limiter(&test);
        test.store.close().await?;

        let open = limiter.clone().without_store(WithoutStore::Allow);
        let response = send(&app(RateLimitLayer::new(open, PeerIp::new())), from("1.2.3.4")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "ratelimit"), None);

        for policy in [WithoutStore::Deny, WithoutStore::Fail] {
            let closed = limiter.clone().without_store(policy);
            let response = send(&app(RateLimitLayer::new(closed, PeerIp::new())), from("1.2.3.4")).await;
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            let problem = problem(response).await;
            let kind = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
            assert_eq!(problem["type"], kind);
        }
    }

    async fn an_application_chooses_its_answer(test: TestStore) {
        let layer = RateLimitLayer::new(limiter(&test), PeerIp::new()).on_denied(|denial, head| {
            let about = format!("{} asked too often: {denial}", head.uri);
            Response::builder().status(418).body(Body::from(about)).expect("it is one")
        });
        let app = app(layer);
        for _ in 0..2 {
            assert_eq!(send(&app, from("1.2.3.4")).await.status(), StatusCode::OK);
        }
        let denied = send(&app, from("1.2.3.4")).await;
        assert_eq!(denied.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(header(&denied, "retry-after"), Some("1800"));
        assert_eq!(header(&denied, "ratelimit"), Some("\"api\";r=0;t=1800"));
        let body = to_bytes(denied.into_body(), 1000).await?;
        assert_eq!(&body[..], b"/ asked too often: There were too many requests");
    }

    /// As that of tonic: nothing can be made of bytes there.
    async fn any_type_of_body_will_do(test: TestStore) {
        #[derive(Debug, Default)]
        struct Strange;
        let layer = RateLimitLayer::new(limiter(&test), PeerIp::new())
            .on_denied(|denial, _| denial.status_only());
        let mut service = layer.layer(tower::service_fn(async |_: Request<Strange>| {
            Ok::<_, std::convert::Infallible>(Response::new(Strange))
        }));
        for expected in [200, 200, 429] {
            let mut request = Request::new(Strange);
            request.extensions_mut().insert(PeerAddress([1, 2, 3, 4].into()));
            let response = service.ready().await?.call(request).await?;
            assert_eq!(response.status(), expected);
        }
    }

    async fn permits_come_back_if_the_answer_says_so(test: TestStore) {
        let layer = RateLimitLayer::new(limiter(&test), PeerIp::new())
            .refund_if(|answer| answer.status.is_server_error());
        let fails = get(async || StatusCode::INTERNAL_SERVER_ERROR);
        let router = Router::new().route("/", get(async || "hello")).route("/fails", fails);
        let app = router.layer(layer);
        for _ in 0..5 {
            let mut request = from("1.2.3.4");
            *request.uri_mut() = "/fails".parse()?;
            let response = send(&app, request).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(header(&response, "ratelimit"), Some("\"api\";r=2;t=0"));
        }
        for expected in [200, 200, 429] {
            assert_eq!(send(&app, from("1.2.3.4")).await.status(), expected);
        }
    }

    async fn a_request_that_is_skipped_is_not_counted(test: TestStore) {
        let layer = RateLimitLayer::new(limiter(&test), PeerIp::new())
            .skip_if(|head| head.headers.contains_key("x-internal"));
        let app = app(layer);
        for _ in 0..5 {
            let mut request = from("1.2.3.4");
            request.headers_mut().insert("x-internal", "1".parse()?);
            assert_eq!(send(&app, request).await.status(), StatusCode::OK);
        }
        assert_eq!(header(&send(&app, from("1.2.3.4")).await, "ratelimit"), Some("\"api\";r=1;t=1800"));
    }

    /// Whoever may look at keys, or at a backup, found API keys there.
    async fn a_secret_in_a_header_is_not_seen_in_the_store(test: TestStore) {
        let name = HeaderName::from_static("x-api-key");
        for (caller, is_seen) in [(Header::new(name.clone()), false), (Header::new(name.clone()).plain(), true)] {
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert(&name, "hunter2".parse()?);
            let response = send(&app(RateLimitLayer::new(limiter(&test), caller)), request).await;
            assert_eq!(response.status(), StatusCode::OK);
            let keys = test.keys("*hunter2*").await?;
            assert_eq!(!keys.is_empty(), is_seen);
        }
    }
}

/// What is logged on this thread meanwhile.
async fn logged(work: impl Future<Output = ()>) -> String {
    let log = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(Log(Arc::clone(&log)));
    let guard = tracing::subscriber::set_default(subscriber.finish());
    work.await;
    drop(guard);
    let log = log.lock().expect("nobody panicked").clone();
    String::from_utf8(log).expect("it is text")
}

#[derive(Clone)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// Behind a proxy that nobody declared all users shared a bucket, silently.
#[tokio::test]
async fn a_proxy_that_is_not_declared_is_logged_once() {
    let test = TestStore::memory();
    let undeclared = app(RateLimitLayer::new(limiter(&test), PeerIp::new()));
    let log = logged(async {
        send(&undeclared, from("10.0.0.1")).await;
    });
    assert_eq!(log.await, "");
    let log = logged(async {
        for _ in 0..3 {
            send(&undeclared, forwarded("10.0.0.1", &["1.2.3.4"])).await;
        }
    });
    let log = log.await;
    assert_eq!(log.matches("PeerIp::behind").count(), 1, "{log}");
    assert!(log.contains("WARN") && log.contains("10.0.0.1"), "{log}");

    let proxies: [Network; 1] = ["10.0.0.0/8".parse().expect("it is one")];
    let declared = app(RateLimitLayer::new(
        limiter(&test),
        PeerIp::new().behind(proxies),
    ));
    let log = logged(async {
        send(&declared, forwarded("10.0.0.1", &["1.2.3.4"])).await;
    });
    assert_eq!(log.await, "");
}

#[tokio::test]
async fn a_server_without_addresses_is_logged_once_as_an_error() {
    let test = TestStore::memory();
    let app = app(RateLimitLayer::new(limiter(&test), PeerIp::new()));
    let log = logged(async {
        for _ in 0..3 {
            send(&app, Request::new(Body::empty())).await;
        }
    });
    let log = log.await;
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    assert!(log.contains("PeerAddress"), "{log}");
}

#[test]
fn settings_are_read_from_text_and_written_as_it() {
    fn read<T: DeserializeOwned + Serialize>(text: &str) -> Result<T, String> {
        let setting = serde_json::from_value(text.into()).map_err(|error| error.to_string())?;
        let written = serde_json::to_value(&setting).map_err(|error| error.to_string())?;
        assert_eq!(written, text);
        Ok(setting)
    }
    let network: Network = "10.0.0.0/8".parse().expect("it is one");
    assert_eq!(read("10.0.0.0/8"), Ok(network));
    assert_eq!(read("pass"), Ok(WithoutCaller::Pass));
    assert_eq!(
        read("refuse 401"),
        Ok(WithoutCaller::Refuse(StatusCode::UNAUTHORIZED))
    );
    assert_eq!(read("strict"), Ok(SameSite::Strict));
    for text in ["", "refuse", "refuse 1", "refuse x", "allow"] {
        let error = read::<WithoutCaller>(text).expect_err("it is none");
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
    assert!(read::<Network>("10.0.0.0/33").is_err());
    assert!(read::<SameSite>("Lax").is_err());
}
