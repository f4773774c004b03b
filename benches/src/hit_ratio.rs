//! Hit ratios: how often a cache that may hold a tenth of all keys has the one that is asked for.
//!
//! Whoever asks for a key that is not there puts it there, which is what makes others leave. All
//! caches see the same keys in the same order; the first half of them fills the cache, the second
//! is counted.
//!
//! A store is limited in bytes, to what that many keys take by its own count. Redis dates the use of
//! a key by the second for LRU, so a stream that is faster than real traffic is unkind to it.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use larder_embedded::{Config, Embedded};
use larder_remote::Remote;
use larder_store::{Command, Store, Value};
use larder_testkit::{Server, ServerKind};
use moka::policy::EvictionPolicy;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use tokio::runtime::Runtime;

use crate::keys::{self, Key, VALUE};

/// How many keys a cache may hold.
const CAPACITY: usize = keys::COUNT / 10;
/// How many keys are asked for at once, where asking takes a round trip.
const AT_ONCE: usize = 64;

/// A cache of limited size.
trait Limited {
    /// Asks for keys, one after the other, and puts those there that are missing. Says how many
    /// were not.
    fn ask(&mut self, keys: &[Key]) -> Result<usize>;
}

/// Makes an empty cache.
type Build = fn() -> Result<Box<dyn Limited>>;

const CACHES: [(&str, Build); 7] = [
    ("exact LRU", || Ok(Box::new(Exact::default()))),
    ("larder LRU", || Served::embedded("allkeys-lru")),
    ("larder LFU", || Served::embedded("allkeys-lfu")),
    ("redis LRU", || Served::redis("allkeys-lru")),
    ("redis LFU", || Served::redis("allkeys-lfu")),
    ("moka LRU", || {
        Ok(Box::new(Moka::new(EvictionPolicy::lru())))
    }),
    ("moka TinyLFU", || {
        Ok(Box::new(Moka::new(EvictionPolicy::tiny_lfu())))
    }),
];

/// Prints the table of those caches that are wanted, for so many counted questions each.
pub(crate) fn run(operations: usize, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    let caches: Vec<_> = CACHES.iter().filter(|(name, _)| is_wanted(name)).collect();
    let names: Vec<_> = caches.iter().map(|(name, _)| *name).collect();
    println!(
        "\n| hits of 100, cache of a tenth | {} |",
        names.join(" | ")
    );
    println!("|---|{}", "---|".repeat(names.len()));
    let mut refusals = BTreeMap::new();
    for stream in STREAMS {
        let keys = stream.keys(2 * operations);
        let cells: Vec<_> = caches
            .iter()
            .map(|(name, build)| match hits(*build, &keys) {
                Ok(hits) => format!("{:.1}", hits as f64 * 100.0 / operations as f64),
                Err(error) => {
                    refusals.insert(*name, format!("{error:#}"));
                    "refused".into()
                }
            })
            .collect();
        println!("| {} | {} |", stream.name, cells.join(" | "));
    }
    for (name, error) in refusals {
        println!("\n{name} was refused: {error}");
    }
    Ok(())
}

/// How many of the second half of the keys are found.
fn hits(build: Build, keys: &[Key]) -> Result<usize> {
    let mut cache = build()?;
    let (first, second) = keys.split_at(keys.len() / 2);
    cache.ask(first)?;
    cache.ask(second)
}

/// An order in which keys are asked for.
struct Stream {
    name: &'static str,
    exponent: f64,
    /// Every so manieth question is of the next key of a walk through all of them.
    scans_every: Option<usize>,
}

const STREAMS: [Stream; 4] = [
    zipf("Zipf 0.7", 0.7),
    zipf("Zipf 0.9", 0.9),
    zipf("Zipf 1.0", 1.0),
    Stream {
        name: "Zipf 0.9, every third a scan",
        exponent: 0.9,
        scans_every: Some(3),
    },
];

const fn zipf(name: &'static str, exponent: f64) -> Stream {
    Stream {
        name,
        exponent,
        scans_every: None,
    }
}

impl Stream {
    /// The same keys whenever it is called.
    fn keys(&self, count: usize) -> Vec<Key> {
        let mut random = StdRng::seed_from_u64(42);
        let zipf =
            Zipf::new(keys::COUNT as f64, self.exponent).expect("the parameters are in range");
        let at = |question: usize| match self.scans_every {
            Some(every) if question.is_multiple_of(every) => question / every % keys::COUNT,
            // A step that shares no divisor with the count, so that popular keys are not neighbours.
            _ => zipf.sample(&mut random) as usize * 617_327 % keys::COUNT,
        };
        (0..count).map(at).map(|at| keys::all()[at]).collect()
    }
}

/// Forgets the key that has not been asked for the longest, to compare with.
#[derive(Default)]
struct Exact {
    asked: u64,
    last: HashMap<Key, u64>,
    order: BTreeMap<u64, Key>,
}

impl Limited for Exact {
    fn ask(&mut self, keys: &[Key]) -> Result<usize> {
        let mut found = 0;
        for &key in keys {
            self.asked += 1;
            if let Some(last) = self.last.insert(key, self.asked) {
                found += 1;
                self.order.remove(&last);
            }
            self.order.insert(self.asked, key);
            if self.order.len() > CAPACITY
                && let Some((_, oldest)) = self.order.pop_first()
            {
                self.last.remove(&oldest);
            }
        }
        Ok(found)
    }
}

struct Moka(moka::sync::Cache<Key, [u8; 64]>);

impl Moka {
    fn new(policy: EvictionPolicy) -> Moka {
        let cache = moka::sync::Cache::builder();
        let cache = cache.max_capacity(CAPACITY as u64).eviction_policy(policy);
        Moka(cache.build())
    }
}

impl Limited for Moka {
    fn ask(&mut self, keys: &[Key]) -> Result<usize> {
        let mut found = 0;
        for &key in keys {
            match self.0.get(&key) {
                Some(_) => found += 1,
                None => self.0.insert(key, VALUE),
            }
        }
        Ok(found)
    }
}

/// A store, in the process or behind a connection.
struct Served {
    runtime: Runtime,
    store: Store,
    /// Ends with the cache.
    _server: Option<Server>,
}

impl Served {
    fn embedded(policy: &str) -> Result<Box<dyn Limited>> {
        let runtime = runtime()?;
        let store = Store::new(Embedded::open(Config::default())?);
        let served = Served {
            runtime,
            store,
            _server: None,
        };
        served.limited(policy)
    }

    fn redis(policy: &str) -> Result<Box<dyn Limited>> {
        let runtime = runtime()?;
        let server = Server::start(ServerKind::Redis).context("there is no redis-server")?;
        let open = || Remote::open(&server.url(), larder_remote::Config::default());
        let store = Store::new(runtime.block_on(async { open() })?);
        let served = Served {
            runtime,
            store,
            _server: Some(server),
        };
        served.limited(policy)
    }

    /// Lets it use as much memory as the cache's keys take, and empties it.
    fn limited(mut self, policy: &str) -> Result<Box<dyn Limited>> {
        self.ask(&keys::all()[..CAPACITY])?;
        let used = self.used_memory()?;
        for setting in [("maxmemory", used.as_str()), ("maxmemory-policy", policy)] {
            let set = Command::new("CONFIG")
                .arg("SET")
                .arg(setting.0)
                .arg(setting.1);
            self.runtime.block_on(self.store.call(set))?;
        }
        self.runtime
            .block_on(self.store.call(Command::new("FLUSHALL")))?;
        Ok(Box::new(self))
    }

    fn used_memory(&self) -> Result<String> {
        let info = self.store.run::<String>(Command::new("INFO").arg("memory"));
        let info = self.runtime.block_on(info)?;
        let used = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.context("INFO does not say used_memory")?.to_owned())
    }

    /// Runs commands in one round trip; none of them may be refused.
    fn call_all(&self, commands: Vec<Command>) -> Result<Vec<Value>> {
        let answers = self.runtime.block_on(self.store.call_all(commands))?;
        Ok(answers.into_iter().collect::<Result<_, _>>()?)
    }
}

impl Limited for Served {
    fn ask(&mut self, keys: &[Key]) -> Result<usize> {
        let mut found = 0;
        for keys in keys.chunks(AT_ONCE) {
            let gets = keys
                .iter()
                .map(|key| Command::new("GET").arg(key))
                .collect();
            let mut missing: Vec<&Key> = Vec::new();
            for (key, value) in keys.iter().zip(self.call_all(gets)?) {
                match value {
                    Value::Bytes(_) => found += 1,
                    // Whoever asks for it twice at once finds it the second time.
                    Value::Null if missing.contains(&key) => found += 1,
                    Value::Null => missing.push(key),
                    other => bail!("GET was answered {other:?}"),
                }
            }
            let set = |key: &&Key| Command::new("SET").arg(*key).arg(VALUE);
            self.call_all(missing.iter().map(set).collect())?;
        }
        Ok(found)
    }
}

fn runtime() -> Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    Ok(runtime.enable_all().build()?)
}
