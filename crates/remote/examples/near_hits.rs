//! What a near read costs that is answered here, beside the same read of the server.
//!
//! `cargo run --release -p larder-remote --example near_hits -- redis://127.0.0.1:6379` prints the
//! medians of several rounds, of one caller that reads one value after the other.

use std::error::Error;
use std::time::{Duration, Instant};

use larder_remote::{Config, Remote};
use larder_store::{Command, Store};

const ROUNDS: usize = 9;
const HITS: u32 = 200_000;
const READS: u32 = 5_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let store = Store::new(Remote::open(&url, Config::default())?);
    tokio::spawn(compare(store)).await?
}

async fn compare(store: Store) -> Result<(), Box<dyn Error + Send + Sync>> {
    let near = store.near(64 << 20);
    let (key, value) = ("larder:near:example", "x".repeat(100));
    let get = || Command::new("GET").arg(key);
    store.set(key, value).await?;
    let (_, freshness) = near.fresh(get()).await?;
    near.call(get()).await?;

    let mut figures: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..HITS {
            near.call(get()).await?;
        }
        figures[0].push(began.elapsed() / HITS);
        let began = Instant::now();
        let fresh = (0..HITS)
            .filter(|_| std::hint::black_box(&freshness).is_fresh())
            .count();
        figures[1].push(began.elapsed() / HITS);
        assert_eq!(fresh, HITS as usize, "the value was changed meanwhile");
        let began = Instant::now();
        for _ in 0..READS {
            store.call(get()).await?;
        }
        figures[2].push(began.elapsed() / READS);
    }
    let names = ["a near hit", "a look at a freshness", "GET on the server"];
    for (name, mut rounds) in names.into_iter().zip(figures) {
        rounds.sort();
        println!("{name}: {:?}", rounds[ROUNDS / 2]);
    }
    println!("{:?}", near.stats());
    Ok(())
}
