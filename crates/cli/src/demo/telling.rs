//! What the page is told: how each service is doing, twice a second, and what happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use larder::pubsub::Event;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::crowd::Crowd;
use super::orders::Orders;
use super::shop::{Error, Shop};

/// How often the figures are taken.
const PERIOD: Duration = Duration::from_millis(500);

/// How many events a page may be behind before it misses some.
const EVENTS: usize = 256;

/// How each service is doing.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Stats {
    store: StoreStats,
    crowd: CrowdStats,
    sessions: SessionStats,
    cache: CacheStats,
    limits: LimitStats,
    queue: QueueStats,
    locks: Vec<LockStats>,
    leaders: Vec<Leader>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct StoreStats {
    url: String,
    /// `None` while the store does not answer.
    latency_us: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct CrowdStats {
    visitors: u32,
    visitors_max: u32,
    actions_per_second: f64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct SessionStats {
    active: u64,
    logins: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct CacheStats {
    hits: u64,
    misses: u64,
    loads: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct LimitStats {
    allowed: u64,
    denied: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct QueueStats {
    /// `None` if the store can't tell.
    lag: Option<u64>,
    pending: u64,
    processed: u64,
    retried: u64,
    dead: u64,
}

#[derive(Clone, Debug, Serialize)]
struct LockStats {
    name: String,
    token: u64,
    remaining_ms: u64,
}

/// A buyer on the board, as the page shows one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leader {
    rank: u64,
    member: String,
    score: i64,
}

impl From<larder::leaderboard::Entry> for Leader {
    fn from(entry: larder::leaderboard::Entry) -> Leader {
        Leader {
            rank: entry.rank,
            member: entry.member,
            score: entry.score,
        }
    }
}

/// What the page is told, for as many pages as are open. Clones share it.
#[derive(Clone)]
pub(crate) struct Telling {
    stats: watch::Receiver<Arc<Stats>>,
    events: broadcast::Sender<Arc<str>>,
    stop: CancellationToken,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Telling {
    /// Begins to tell, until `stop` says otherwise.
    pub(crate) async fn start(
        shop: &Arc<Shop>,
        orders: &Orders,
        crowd: &Arc<Crowd>,
        stop: CancellationToken,
    ) -> Result<Telling, Error> {
        let mut subscription = shop.listen().await?;
        let (events, _) = broadcast::channel(EVENTS);
        let (told, stats) = watch::channel(Arc::default());
        let mut tasks = JoinSet::new();

        let passing_on = events.clone();
        let stopped = stop.clone();
        tasks.spawn(async move {
            while let Some(Some(event)) = stopped.run_until_cancelled(subscription.next()).await {
                let text = match event {
                    Event::Message { body, .. } => body,
                    Event::Lagged(count) => format!("({count} events were lost)"),
                    Event::Gap => "(the store was away; events may be missing)".to_owned(),
                    _ => continue,
                };
                // Nobody may have a page open.
                let _ = passing_on.send(text.into());
            }
        });
        let taker = Taker {
            shop: Arc::clone(shop),
            orders: orders.watcher(),
            crowd: Arc::clone(crowd),
        };
        let stopped = stop.clone();
        tasks.spawn(async move {
            stopped.run_until_cancelled(taker.take_figures(told)).await;
        });
        Ok(Telling {
            stats,
            events,
            stop,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }

    /// The figures, as they are and as they come.
    pub(crate) fn stats(&self) -> watch::Receiver<Arc<Stats>> {
        self.stats.clone()
    }

    /// What happens from here on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Arc<str>> {
        self.events.subscribe()
    }

    /// Is ready when there is no more to tell.
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until nobody is told any more.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while tasks.join_next().await.is_some() {}
    }
}

/// Takes the figures.
struct Taker {
    shop: Arc<Shop>,
    orders: super::orders::Watcher,
    crowd: Arc<Crowd>,
}

impl Taker {
    async fn take_figures(self, told: watch::Sender<Arc<Stats>>) {
        let mut period = tokio::time::interval(PERIOD);
        let (mut actions, mut since) = (self.crowd.actions(), Instant::now());
        loop {
            period.tick().await;
            let (now, done) = (Instant::now(), self.crowd.actions());
            let rate = (done - actions) as f64 / now.duration_since(since).as_secs_f64().max(0.001);
            (actions, since) = (done, now);
            let stats = match self.figures(rate).await {
                Ok(stats) => stats,
                Err(error) => {
                    tracing::debug!(%error, "no figures");
                    let mut last = Stats::clone(&told.borrow());
                    last.store.latency_us = None;
                    last
                }
            };
            told.send_replace(Arc::new(stats));
        }
    }

    async fn figures(&self, actions_per_second: f64) -> Result<Stats, Error> {
        let shop = &self.shop;
        let health = larder::health(shop.store()).await;
        let info = self.orders.info().await?;
        let metrics = self.orders.metrics();
        let cache = shop.cache_stats();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let holders = shop.lock_holders().await?.into_iter();
        Ok(Stats {
            store: StoreStats {
                url: shop.store_name().to_owned(),
                latency_us: health.latency.map(|latency| latency.as_micros() as u64),
            },
            crowd: CrowdStats {
                visitors: self.crowd.visitors(),
                visitors_max: Crowd::VISITORS_MAX,
                actions_per_second,
            },
            sessions: SessionStats {
                active: shop.active_sessions().await?,
                logins: count(&shop.counts.logins),
            },
            cache: CacheStats {
                hits: cache.hits,
                misses: cache.misses,
                loads: cache.loads,
            },
            limits: LimitStats {
                allowed: count(&shop.counts.allowed),
                denied: count(&shop.counts.denied),
            },
            queue: QueueStats {
                lag: info.lag,
                pending: info.pending,
                processed: metrics.processed,
                retried: metrics.retried,
                dead: metrics.dead,
            },
            locks: holders
                .map(|(name, holder)| LockStats {
                    name,
                    token: holder.token,
                    remaining_ms: holder.remaining.as_millis() as u64,
                })
                .collect(),
            leaders: shop
                .leaders()
                .await?
                .into_iter()
                .map(Leader::from)
                .collect(),
        })
    }
}
