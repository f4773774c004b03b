//! Measurements.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Result;
use cpu_time::ProcessTime;

/// Work that has to be waited for.
pub(crate) type Run<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Somebody who does a row's operation.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// The round trips of an operation, where there are any.
    pub(crate) trips: Option<f64>,
    /// Makes ready for so many operations, before the clock runs.
    pub(crate) prepare: Option<Box<dyn Fn(usize) -> Run<'static>>>,
    /// Does the operation so many times, one after the other.
    pub(crate) run: Box<dyn Fn(usize) -> Run<'static>>,
}

/// A contender that does this, so many times.
pub(crate) fn contender<F>(name: &'static str, run: impl Fn(usize) -> F + 'static) -> Contender
where
    F: Future<Output = Result<()>> + 'static,
{
    Contender {
        name,
        trips: None,
        prepare: None,
        run: Box::new(move |operations| Box::pin(run(operations))),
    }
}

impl Contender {
    /// The same contender, whose operation takes so many round trips.
    pub(crate) fn trips(mut self, trips: f64) -> Contender {
        self.trips = Some(trips);
        self
    }

    /// The same contender, which makes ready before the clock runs.
    pub(crate) fn prepared<F>(mut self, prepare: impl Fn(usize) -> F + 'static) -> Contender
    where
        F: Future<Output = Result<()>> + 'static,
    {
        self.prepare = Some(Box::new(move |operations| Box::pin(prepare(operations))));
        self
    }
}

/// What an operation takes.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) cpu_ns: f64,
    pub(crate) wall_ns: f64,
}

/// Does a contender's operation so many times.
pub(crate) async fn measure(contender: &Contender, operations: usize) -> Result<Figures> {
    if let Some(prepare) = &contender.prepare {
        prepare(operations).await?;
    }
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    (contender.run)(operations).await?;
    let per_operation = |time: Duration| time.as_nanos() as f64 / operations as f64;
    Ok(Figures {
        cpu_ns: per_operation(cpu.elapsed()),
        wall_ns: per_operation(began.elapsed()),
    })
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
