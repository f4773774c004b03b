//! Measuring one round.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::contenders::Contender;
use crate::keys::Keys;

/// What was seen in one round, or the median or the best of all.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// Nanoseconds that an operation takes, as its thread sees it.
    pub(crate) ns: f64,
    /// Nanoseconds of CPU that an operation takes; NaN where the system does not say.
    pub(crate) cpu_ns: f64,
    /// Operations of all threads together.
    pub(crate) millions_a_second: f64,
}

impl Figures {
    pub(crate) fn median(rounds: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
        };
        Figures {
            ns: of(|it| it.ns),
            cpu_ns: of(|it| it.cpu_ns),
            millions_a_second: of(|it| it.millions_a_second),
        }
    }

    /// Each figure as it was in the round in which it was best.
    pub(crate) fn best(rounds: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| rounds.iter().map(figure);
        Figures {
            ns: of(|it| it.ns).fold(f64::NAN, f64::min),
            cpu_ns: of(|it| it.cpu_ns).fold(f64::NAN, f64::min),
            millions_a_second: of(|it| it.millions_a_second).fold(f64::NAN, f64::max),
        }
    }
}

/// Runs one round: a thread for each list of keys, all beginning at once.
pub(crate) fn measure(contender: &Contender, keys: &[Keys]) -> Result<Figures> {
    let start = Barrier::new(keys.len());
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = keys
            .iter()
            .map(|keys| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    start.wait();
                    let (wall, cpu) = (Instant::now(), thread_cpu());
                    runtime.block_on(contender(keys.as_slice()))?;
                    Ok((wall.elapsed(), thread_cpu().zip(cpu)))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().ok().context("a thread panicked")?)
            .collect::<Result<Vec<_>>>()
    })?;

    let operations = keys[0].as_slice().len() as f64;
    let longest = times
        .iter()
        .map(|(wall, _)| *wall)
        .max()
        .unwrap_or_default();
    let cpu: Option<Vec<Duration>> = times
        .iter()
        .map(|(_, cpu)| cpu.map(|(after, before)| after.saturating_sub(before)))
        .collect();
    let cpu_ns = cpu.map_or(f64::NAN, |cpu| {
        cpu.iter().sum::<Duration>().as_nanos() as f64 / operations / keys.len() as f64
    });
    Ok(Figures {
        ns: longest.as_nanos() as f64 / operations,
        cpu_ns,
        millions_a_second: operations * keys.len() as f64 / longest.as_secs_f64() / 1e6,
    })
}

/// The CPU time that this thread has used, where the system says.
fn thread_cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns = stat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}
