//! Asking a store, and each of its servers.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use larder::{Command, Error, NodeHealth, Part, RemoteConfig, Store, Tls};

use super::found::{Found, Node, Settings, Topology};
use super::{Args, advice};

/// Looks at the store that the arguments name.
pub(super) async fn at(args: &Args, patience: Duration) -> Found {
    let url = &args.url;
    match open(args, patience).await {
        Ok(store) => look(url, &store, patience).await,
        Err(reason) => Found::unreachable(url, reason),
    }
}

/// Opens the store, and waits for its first answer. The error is a sentence.
async fn open(args: &Args, patience: Duration) -> Result<Store, String> {
    let mut tls = Tls::new();
    if let Some(path) = &args.authority {
        let pem = std::fs::read(path);
        let pem = pem.map_err(|error| format!("can't read {}: {error}", path.display()))?;
        tls = tls.authority(pem);
    }
    // Whoever looks wants to see what is, and not how well it is borne.
    let config = RemoteConfig::default()
        .connect_timeout(patience / 2)
        .response_timeout(patience / 2)
        .retries(1)
        .breaker_failures(0)
        .tls(tls);
    let store = larder::open_with(&args.url, config).map_err(|error| error.to_string())?;
    match store.call(Command::new("PING")).await {
        Ok(_) => Ok(store),
        Err(Error::Away(away)) => Err(away.reason().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn look(url: &str, store: &Store, patience: Duration) -> Found {
    let store = store.within(patience / 2);
    let health = larder::health_within(&store, patience / 2);
    let (health, capabilities) = tokio::join!(health, store.capabilities());
    let names = capabilities.map(|all| all.iter().map(|one| format!("{one:?}")).collect());
    let asked = health.nodes.into_iter().map(|node| ask(&store, node));
    let nodes = join_all(asked).await;
    let has_password = larder::without_password(url) != url;
    let mut warnings = health.problems;
    warnings.extend(advice::on(Topology::of(url), &nodes, has_password));
    Found::new(url, names.unwrap_or_default(), nodes, warnings)
}

/// Asks a server what its health does not tell.
async fn ask(store: &Store, health: NodeHealth) -> Node {
    let part = health
        .address
        .as_deref()
        .map_or_else(Part::whole, Part::new);
    let (clock_skew_us, settings) = match &health.report {
        Some(_) => tokio::join!(clock_skew(store, &part), settings(store, &part)),
        None => (None, Settings::default()),
    };
    Node {
        health,
        clock_skew_us,
        settings,
    }
}

/// How far a server's clock is ahead of ours: it is taken to have looked at it half-way.
async fn clock_skew(store: &Store, part: &Part) -> Option<i64> {
    let before = now_us();
    let time: (i64, i64) = store.run(Command::new("TIME").on(part)).await.ok()?;
    let ours = i64::midpoint(before, now_us());
    Some(time.0 * 1_000_000 + time.1 - ours)
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

/// What a server is configured to do, as far as it tells: CONFIG may be forbidden.
async fn settings(store: &Store, part: &Part) -> Settings {
    let get = async |name: &str| {
        let question = Command::new("CONFIG").arg("GET").arg(name).on(part);
        let mut pairs: HashMap<String, String> = store.run(question).await.ok()?;
        pairs.remove(name)
    };
    let (save, bind, protected_mode) =
        tokio::join!(get("save"), get("bind"), get("protected-mode"));
    Settings {
        save,
        bind,
        protected_mode,
    }
}
