//! The store on servers beside other clients of Redis.
//!
//! Each client does the same: so many tasks share it, and each task sets and gets keys in turn, one
//! command after the other. The clients are measured in turn, round by round, so that a slow minute of
//! the machine meets all of them alike; the medians are printed:
//!
//! - `cpu`: the time of the processor that this process takes for a command, without the server's;
//! - `commands`: how many thousand commands a second come through.

mod clients;

use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use cpu_time::ProcessTime;
use larder_testkit::{Cluster, Server, ServerKind};

use clients::{Client, Fred, Larder, Redis, Rustis};

/// So many keys are set and got.
const KEYS: usize = 10_000;

/// As many bytes are in each.
const VALUE: [u8; 32] = [b'v'; 32];

/// The store on servers beside other clients of Redis.
#[derive(Parser)]
struct Options {
    /// How often each client is measured; the medians are printed.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Commands in a round.
    #[arg(long, default_value_t = 200_000)]
    commands: usize,
    /// How many tasks share the client.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 256])]
    tasks: Vec<usize>,
    /// The clients to measure; all if none is given.
    #[arg(long, value_delimiter = ',')]
    who: Vec<String>,
    /// Leave the cluster out.
    #[arg(long)]
    no_cluster: bool,
}

/// What was seen in a round.
#[derive(Clone, Copy)]
struct Figures {
    cpu_us: f64,
    thousands_a_second: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let server = Server::start(ServerKind::Redis).context("there is no redis-server")?;
    // Nodes end with this process, as the server does.
    let cluster = match options.no_cluster {
        true => None,
        false => Cluster::start(ServerKind::Redis),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(&options, &server, cluster.as_ref()))
}

async fn run(options: &Options, server: &Server, cluster: Option<&Cluster>) -> Result<()> {
    println!(
        "| servers | tasks | client | cpu, us | thousand commands/s | cpu to the redis crate |"
    );
    println!("|---|---|---|---|---|---|");
    for &tasks in &options.tasks {
        let load = Load { options, tasks };
        let url = server.url();
        let mut table = Table::new("one", tasks);
        for _ in 0..options.rounds {
            load.measure("redis", &mut table, Redis::connect(&url))
                .await?;
            load.measure("larder", &mut table, Larder::connect(&url))
                .await?;
            load.measure("fred", &mut table, Fred::connect(&url))
                .await?;
            load.measure("rustis", &mut table, Rustis::connect(&url))
                .await?;
        }
        table.print();
        let Some(cluster) = cluster else { continue };
        let nodes: Vec<String> = cluster.nodes.iter().map(|node| node.address()).collect();
        let mut table = Table::new("cluster", tasks);
        for _ in 0..options.rounds {
            load.measure("redis", &mut table, Redis::connect_to_cluster(&nodes))
                .await?;
            load.measure("larder", &mut table, Larder::connect(&cluster.url()))
                .await?;
            load.measure("fred", &mut table, Fred::connect_to_cluster(&nodes))
                .await?;
            load.measure("rustis", &mut table, Rustis::connect_to_cluster(&nodes))
                .await?;
        }
        table.print();
    }
    Ok(())
}

/// What each client has to do.
struct Load<'a> {
    options: &'a Options,
    tasks: usize,
}

impl Load<'_> {
    async fn measure<C: Client>(
        &self,
        name: &'static str,
        table: &mut Table,
        client: impl Future<Output = Result<C>>,
    ) -> Result<()> {
        if !self.options.who.is_empty() && !self.options.who.iter().any(|who| who == name) {
            return Ok(());
        }
        let client = client
            .await
            .with_context(|| format!("{name} does not connect"))?;
        self.work(&client, self.tasks * 100).await?;
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        let done = self.work(&client, self.options.commands).await?;
        let (cpu, wall) = (cpu.elapsed(), wall.elapsed());
        table.note(
            name,
            Figures {
                cpu_us: cpu.as_secs_f64() * 1e6 / done as f64,
                thousands_a_second: done as f64 / wall.as_secs_f64() / 1e3,
            },
        );
        Ok(())
    }

    /// Has the tasks do so many commands together. Answers how many were done.
    async fn work<C: Client>(&self, client: &C, commands: usize) -> Result<usize> {
        // One task does one after the other, which takes its time.
        let commands = if self.tasks == 1 {
            commands / 5
        } else {
            commands
        };
        let each = (commands / self.tasks).max(2);
        let tasks: Vec<_> = (0..self.tasks)
            .map(|task| {
                let client = client.clone();
                tokio::spawn(async move {
                    for number in 0..each / 2 {
                        let key = format!("key:{:05}", (task * 7919 + number) % KEYS);
                        client.set(&key, &VALUE).await?;
                        client.get(&key).await?;
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(each / 2 * 2 * self.tasks)
    }
}

/// What was seen of each client.
struct Table {
    servers: &'static str,
    tasks: usize,
    clients: Vec<(&'static str, Vec<Figures>)>,
}

impl Table {
    fn new(servers: &'static str, tasks: usize) -> Table {
        Table {
            servers,
            tasks,
            clients: Vec::new(),
        }
    }

    fn note(&mut self, name: &'static str, figures: Figures) {
        match self.clients.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.push(figures),
            None => self.clients.push((name, vec![figures])),
        }
    }

    fn print(&self) {
        let median = |figures: &[Figures], pick: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = figures.iter().map(pick).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let cpu_of = |figures: &[Figures]| median(figures, |figures| figures.cpu_us);
        let redis = self.clients.iter().find(|(name, _)| *name == "redis");
        let redis = redis.map_or(f64::NAN, |(_, figures)| cpu_of(figures));
        for (name, figures) in &self.clients {
            let cpu = cpu_of(figures);
            let commands = median(figures, |figures| figures.thousands_a_second);
            println!(
                "| {} | {} | {name} | {cpu:.2} | {commands:.0} | {:.2} |",
                self.servers,
                self.tasks,
                cpu / redis
            );
        }
    }
}
