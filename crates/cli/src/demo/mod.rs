//! `larder demo`: a small web shop that uses every service of one store at once.
//!
//! ```text
//! web ────┐                      sessions, cache, limits, streams, locks, boards, messages
//! crowd ──┴── Shop (shop.rs) ──── on one Store
//!             orders.rs           workers that take each order (order.rs) from the stream
//!             telling.rs          what each service is doing, twice a second, for the page
//! ```

mod catalogue;
mod crowd;
mod order;
mod orders;
mod shop;
mod telling;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crowd::Crowd;
use orders::Orders;
use shop::Shop;
use telling::Telling;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::signal::Signals;

/// How long the store may take to answer for the first time.
const OPENING: Duration = Duration::from_secs(5);

/// How long requests that are under way are waited for when the shop closes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `larder demo` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Store to run on: memory:, redis://host:port, ...
    #[arg(long, value_name = "URL", default_value = "memory:")]
    store: String,

    /// Address of the page.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        value_parser = crate::address
    )]
    http: SocketAddr,

    /// Simulated visitors, 0 to 200; the page can change them.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 20,
        allow_negative_numbers = true
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(Crowd::VISITORS_MAX)))]
    visitors: u32,
}

/// Runs the shop until SIGINT or SIGTERM.
pub(crate) fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(open(args))
}

async fn open(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let store = larder::open(&args.store)?;
    // A store that is not there is better found out now than by the first visitor.
    let health = larder::health_within(&store, OPENING).await;
    if !health.ready {
        return Err(format!("the store does not answer: {}", health.problems.join("; ")).into());
    }
    let listener = TcpListener::bind(args.http)
        .await
        .map_err(|error| format!("can't listen on {}: {error}", args.http))?;
    let address = listener.local_addr()?;

    let shop = Arc::new(Shop::open(&store, larder::without_password(&args.store)).await?);
    let orders = Orders::start(&shop).await?;
    let crowd = Arc::new(Crowd::start(&shop));
    crowd.set_visitors(args.visitors);
    let stop = CancellationToken::new();
    let telling = Telling::start(&shop, &orders, &crowd, stop.clone()).await?;
    let signals = Signals::listen()?;
    tracing::info!(
        "the shop is open on http://{address}, on {}",
        shop.store_name()
    );

    let app = web::routes(Arc::clone(&shop), Arc::clone(&crowd), telling.clone());
    let ended = stop.clone();
    let serve = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move { ended.cancelled().await })
    .into_future();
    let serve = async {
        tokio::select! {
            served = serve => served,
            // Half a request may never become a whole one.
            () = waited_for(&stop) => Ok(()),
        }
    };
    let signal = async {
        let result = signals.wait().await;
        tracing::info!("closing the shop; a second signal ends it at once");
        stop.cancel();
        result
    };
    let (served, signalled) = tokio::join!(serve, signal);
    signalled?;
    served?;

    crowd.stop().await;
    telling.stop().await;
    orders.stop().await;
    store.close().await?;
    Ok(())
}

/// Is ready when requests have been waited for since `stop`.
async fn waited_for(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(PATIENCE).await;
    tracing::warn!("requests that were not done after {PATIENCE:?} are cut off");
}
