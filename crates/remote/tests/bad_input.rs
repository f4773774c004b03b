//! What somebody is told whose URL or password is wrong: in one sentence what was found, what was
//! expected and what to do, and that within the time that making a connection may take.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use larder_remote::{Config, Remote};
use larder_store::{Channels, Store};
use larder_testkit::{Cluster, Lease, Sentinels, Server, ServerKind, free_port, lend, open, words};
use tokio::task::block_in_place;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// What a busy machine adds.
const LITTLE: Duration = Duration::from_secs(1);

/// Asks on a new store, and answers the error, which comes in time.
async fn asked<T>(url: &str, ask: impl AsyncFn(Store) -> Result<T, larder_store::Error>) -> String {
    let config = Config::default().connect_timeout(CONNECT);
    let store = open(url, config);
    let begun = Instant::now();
    let Err(error) = ask(store).await else {
        panic!("{url} is right");
    };
    let lasted = begun.elapsed();
    assert!(lasted < CONNECT + LITTLE, "{url}: {error} after {lasted:?}");
    error.to_string()
}

/// What a caller is told, whatever he asks. All these words stand in it.
async fn is_told(url: &str, wanted: &[&str]) {
    let told = [
        asked(url, async |store| store.call(words("GET a")).await).await,
        asked(url, async |store| store.call(words("BLPOP a 30")).await).await,
        asked(url, async |store| {
            let answers = store.call_all(vec![words("GET a"), words("GET a")]).await?;
            answers.into_iter().collect::<Result<Vec<_>, _>>()
        })
        .await,
        asked(url, async |store| {
            store.subscribe(Channels::default().channel("a")).await
        })
        .await,
    ];
    for told in told {
        for wanted in wanted {
            assert!(told.contains(wanted), "{url}: no {wanted:?} in: {told}");
        }
        assert!(!told.contains('\n'), "{told}");
    }
}

fn lent<T: larder_testkit::Lent>() -> Option<Lease<T>> {
    block_in_place(|| lend(ServerKind::Redis))
}

/// The same URL with a user and a password.
fn with_login(url: &str, login: &str) -> String {
    url.replace("://", &format!("://{login}@"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_is_told() {
    for url in [
        "redis://nowhere.invalid",
        "redis-sentinel://nowhere.invalid/larder",
        "redis-cluster://nowhere.invalid",
    ] {
        is_told(url, &["\"nowhere.invalid\"", "is it spelled rightly"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_on_which_nobody_listens_is_told() {
    let port = free_port();
    for url in [
        format!("redis://127.0.0.1:{port}"),
        format!("redis-sentinel://127.0.0.1:{port}/larder"),
        format!("redis-cluster://127.0.0.1:{port}"),
    ] {
        let address = format!("127.0.0.1:{port}");
        is_told(&url, &[&address, "nobody listens there"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_and_says_nothing_holds_up_nobody_for_longer_than_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    for url in [
        format!("redis://{address}"),
        format!("rediss://{address}"),
        format!("redis-sentinel://{address}/larder"),
        format!("redis-cluster://{address}"),
    ] {
        is_told(&url, &["in time"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_server_is_told_from_a_cluster_and_from_a_sentinel() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let address = format!("127.0.0.1:{}", server.port());
    let what_to_do = "its URL begins with redis://";
    let found = format!("{address} is a single server, and not a node of a cluster");
    is_told(&format!("redis-cluster://{address}"), &[&found, what_to_do]).await;
    let found = format!("{address} is a single server, and not a Sentinel");
    is_told(
        &format!("redis-sentinel://{address}/larder"),
        &[&found, what_to_do],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_told_from_a_single_server_and_from_a_sentinel() {
    let Some(lease) = lent::<Cluster>() else {
        return;
    };
    let address = lease.topology.nodes[0].address();
    let what_to_do = format!("its URL is redis-cluster://{address}");
    let found = format!("{address} is a node of a cluster, and not a single server");
    is_told(&format!("redis://{address}"), &[&found, &what_to_do]).await;
    let found = format!("{address} is a node of a cluster, and not a Sentinel");
    is_told(
        &format!("redis-sentinel://{address}/larder"),
        &[&found, &what_to_do],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_is_told_from_a_single_server_and_from_a_cluster() {
    let Some(lease) = lent::<Sentinels>() else {
        return;
    };
    let address = lease.topology.sentinels[0].address();
    let what_to_do = format!("its URL is redis-sentinel://{address}/NAME-OF-THE-MASTER");
    let found = format!("{address} is a Sentinel, and not a single server");
    is_told(&format!("redis://{address}"), &[&found, &what_to_do]).await;
    let found = format!("{address} is a Sentinel, and not a node of a cluster");
    is_told(
        &format!("redis-cluster://{address}"),
        &[&found, &what_to_do],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_sentinel_knows_is_told_with_those_that_they_know() {
    let Some(lease) = lent::<Sentinels>() else {
        return;
    };
    let url = lease.topology.url().replace("/larder", "/lader");
    let wanted = [
        "no master called \"lader\"",
        "they know larder",
        "the name stands behind the hosts in the URL",
    ];
    is_told(&url, &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_with_where_the_right_one_belongs() {
    let (Some(sentinels), Some(cluster)) = (lent::<Sentinels>(), lent::<Cluster>()) else {
        return;
    };
    let (sentinels, cluster) = (sentinels.topology.url(), cluster.topology.url());
    for url in [&sentinels, &cluster] {
        let wanted = ["WRONGPASS", "The URL's user and password are meant"];
        is_told(&with_login(url, "ann:wrong"), &wanted).await;
    }
    let url = format!("{sentinels}?sentinel_user=ann&sentinel_password=wrong");
    let wanted = [
        "WRONGPASS",
        "Sentinels have users of their own",
        "`sentinel_password`",
    ];
    is_told(&url, &wanted).await;

    let options = ["--requirepass", "secret"];
    let Some(server) = Server::start_with(ServerKind::Redis, &options) else {
        return;
    };
    let wanted = ["WRONGPASS", "The URL's user and password are meant"];
    is_told(&with_login(&server.url(), ":wrong"), &wanted).await;
    let wanted = [
        "wants a password, and was given none",
        "redis://:password@host",
    ];
    is_told(&server.url(), &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_servers_that_have_none_is_told() {
    let (Some(sentinels), Some(cluster)) = (lent::<Sentinels>(), lent::<Cluster>()) else {
        return;
    };
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    for url in [
        server.url(),
        sentinels.topology.url(),
        cluster.topology.url(),
    ] {
        let (scheme, _) = url.split_once("://").unwrap();
        let wanted = format!("if the server does not speak TLS, its URL begins with {scheme}://");
        is_told(&url.replacen("redis", "rediss", 1), &[&wanted]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_the_server_has_not_is_told() {
    let Some(server) = Server::start(ServerKind::Redis) else {
        return;
    };
    let wanted = [
        "out of range",
        "asks for database 99",
        "setting `databases`",
    ];
    is_told(&format!("{}/99", server.url()), &wanted).await;
}

#[test]
fn what_is_wrong_with_a_url_is_told_when_the_store_is_opened() {
    for (url, found) in [
        ("http://localhost", "its scheme \"http\" is unknown"),
        ("localhost:6379", "it has no scheme"),
        ("", "it has no scheme"),
        ("redis://", "it has no host"),
        ("redis-cluster://a,,b", "it has no host"),
        ("redis://a b", "a host is a name or an address"),
        ("redis://a:x", "a port is a number from 1 to 65535"),
        ("redis://a:65536", "a port is a number from 1 to 65535"),
        ("redis://a/x", "a database has a number from 0 on"),
        ("redis://a,b", "it has several hosts"),
        (
            "redis-cluster://a/1",
            "a cluster has one database, which is number 0",
        ),
        ("redis-sentinel://a", "which master is meant"),
        (
            "redis-sentinel://a/m/x",
            "a database has a number from 0 on",
        ),
        ("redis://a?x=1", "it has no parameter \"x\""),
    ] {
        let error = Remote::open(url, Config::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(found), "{url}: no {found:?} in: {error}");
        assert!(error.contains("; write redis://"), "{error}");
    }
}
