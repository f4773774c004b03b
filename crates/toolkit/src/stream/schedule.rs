//! What is added to a stream later, once or again and again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_store::{Command, Error, FromValue, Script, Value};
use serde::{Deserialize, Serialize};

use super::entry::count;
use super::{Cron, Stream, keys, script};
use crate::random;
use crate::stream::twins;
use crate::{Ttl, codec};

pub(super) static DELAY: Script = script!("delay.lua").with_twin(twins::delay);
pub(super) static DUE: Script = script!("due.lua").with_twin(twins::due);
pub(super) static SCHEDULE: Script = script!("schedule.lua").with_twin(twins::schedule);
pub(super) static TICK: Script = script!("tick.lua").with_twin(twins::tick);

/// How many values that are due are added in one step.
const ADDED_MAX: u32 = 100;

/// A value that is to be added later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delayed {
    name: String,
}

/// A value that is added to a stream again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The name by which it is known.
    pub name: String,
    /// When it ticks.
    pub cron: Cron,
}

/// What [`Stream::promote`] did.
pub(super) struct Promoted {
    /// How many values were added.
    pub(super) added: u64,
    /// When the next is due, from now.
    pub(super) due: Option<Duration>,
}

impl<T: Serialize> Stream<T> {
    /// Adds a value when this time has passed. A worker of the stream has to be there to do it, and
    /// may be up to a second late.
    ///
    /// It comes when as much time has passed as there was to wait, also if the store's clock is set
    /// back meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the value can't be encoded, and then nothing is to be added; those of the
    /// store. After [`Error::Unanswered`] it may be added, and asking again may add it twice.
    pub async fn add_in(&self, delay: Duration, value: &T) -> Result<Delayed, Error> {
        self.delay("in", delay.min(Ttl::MAX), value).await
    }

    /// Adds a value at this time by the store's clock, and at once if that is past. A worker of the
    /// stream has to be there to do it, and may be up to a second late.
    ///
    /// How long there is to wait is settled now: it is the same if the store's clock is set back
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Stream::add_in`].
    pub async fn add_at(&self, time: SystemTime, value: &T) -> Result<Delayed, Error> {
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Beyond the year 10000 a double does not count milliseconds exactly any more.
        self.delay("at", since_1970.min(Ttl::MAX * 80), value).await
    }

    async fn delay(&self, how: &str, time: Duration, value: &T) -> Result<Delayed, Error> {
        let name = hex::encode(random::bytes::<16>());
        DELAY
            .on(self.store())
            .key(self.key().part(keys::DELAYED))
            .key(self.key().part(keys::DELAYED_BODIES))
            .key(self.key().part(keys::CLOCK))
            .arg(&name)
            .arg(how)
            .arg(count(time.as_millis()))
            .arg(codec::encode(value)?)
            .run::<()>()
            .await?;
        Ok(Delayed { name })
    }

    /// Adds a value at each tick of `cron`, in UTC by the store's clock, until
    /// [`Stream::unschedule`]. `false` if there was such a schedule with the same times already,
    /// which then goes on, with the new value. Two round trips.
    ///
    /// The schedule is kept in the store, under its name: each instance of a program may say it when
    /// it starts. Each tick adds one entry, however many workers there are, and one of them has to
    /// be there to do it.
    ///
    /// Ticks that pass while no worker is there, or the store is away, are made up for by *one*
    /// entry as soon as a worker is back; then it goes on with the next tick. When the store's clock
    /// is set back, ticks that have been are not repeated, but a schedule is never silent for longer
    /// than two of its intervals.
    ///
    /// ```
    /// # larder_testkit::doctest(async |store| {
    /// use larder_toolkit::stream::{Cron, Stream, Trim};
    ///
    /// let reports = Stream::<String>::new(&store, "shop", "reports", Trim::Handled);
    /// let each_night = Cron::parse("0 3 * * *")?;
    /// reports.schedule("sales", &each_night, &"yesterday".to_owned()).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Codec`] if the value can't be encoded, and then nothing was changed; those of the
    /// store. Asking again is harmless.
    pub async fn schedule(&self, name: &str, cron: &Cron, value: &T) -> Result<bool, Error> {
        let body = codec::encode(value)?;
        let (seconds, _): (u64, u64) = self.store().run(Command::new("TIME")).await?;
        let next = cron
            .after(seconds * 1000)
            .ok_or_else(|| Error::invalid(format_args!("the schedule {cron} never ticks again")))?;
        SCHEDULE
            .on(self.store())
            .key(self.key().part(keys::SCHEDULES))
            .key(self.key().part(keys::SCHEDULES_CRONS))
            .key(self.key().part(keys::SCHEDULES_BODIES))
            .arg(name)
            .arg(cron.to_string())
            .arg(body)
            .arg(next)
            .run()
            .await
    }
}

impl<T> Stream<T> {
    /// Takes back what was to be added later. `false` if it was added or taken back before.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn cancel(&self, delayed: &Delayed) -> Result<bool, Error> {
        let bodies = self.key().part(keys::DELAYED_BODIES);
        // What has no body is not added.
        let command = Command::new("HDEL").arg(bodies).arg(&delayed.name);
        self.store().run(command).await
    }

    /// Ends a schedule. `false` if there was none of this name.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn unschedule(&self, name: &str) -> Result<bool, Error> {
        let remove = |command, part| Command::new(command).arg(self.key().part(part)).arg(name);
        let answers = self.store().call_all(vec![
            remove("ZREM", keys::SCHEDULES),
            remove("HDEL", keys::SCHEDULES_CRONS),
            remove("HDEL", keys::SCHEDULES_BODIES),
        ]);
        let mut is_removed = false;
        for answer in answers.await? {
            is_removed |= bool::from_value(answer?)?;
        }
        Ok(is_removed)
    }

    /// The schedules of the stream, by their names.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if one was written by a newer version that knows other times; those of the
    /// store.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let command = Command::new("HGETALL").arg(self.key().part(keys::SCHEDULES_CRONS));
        let crons: BTreeMap<String, String> = self.store().run(command).await?;
        let schedule = |(name, cron): (String, String)| {
            let cron = Cron::parse(&cron)?;
            Ok(Schedule { name, cron })
        };
        crons.into_iter().map(schedule).collect()
    }
}

/// What workers do for the schedules of their stream.
impl<T> Stream<T> {
    /// Adds what is due to be added.
    pub(super) async fn promote(&self) -> Result<Promoted, Error> {
        type Answer = (u64, i64, u64, Vec<(String, String, u64)>);
        let (trim, bound) = self.trim().words();
        let (mut added, due_ms, now_ms, ticks): Answer = DUE
            .on(self.store())
            .key(self.key().clone())
            .key(self.key().part(keys::DELAYED))
            .key(self.key().part(keys::DELAYED_BODIES))
            .key(self.key().part(keys::CLOCK))
            .key(self.key().part(keys::SCHEDULES))
            .key(self.key().part(keys::SCHEDULES_CRONS))
            .arg(ADDED_MAX)
            .arg(trim)
            .arg(bound)
            .run()
            .await?;
        for (name, cron, due_ms) in ticks {
            match Cron::parse(&cron).map(|cron| cron.after(now_ms)) {
                Ok(Some(next_ms)) => {
                    let is_added = self.tick(&name, due_ms, next_ms, "add").await?;
                    added += u64::from(is_added);
                }
                _ => tracing::warn!(name, cron, "a schedule that this version can't read"),
            }
        }
        Ok(Promoted {
            added,
            due: u64::try_from(due_ms).ok().map(Duration::from_millis),
        })
    }

    /// Moves the ticks that lie too far ahead since the store's clock was set back.
    pub(super) async fn mend_schedules(&self) -> Result<(), Error> {
        let schedules = self.key().part(keys::SCHEDULES);
        let all = Command::new("ZRANGE").arg(&schedules).arg(0).arg(-1);
        let crons = self.key().part(keys::SCHEDULES_CRONS);
        let answers = self.store().call_all(vec![
            Command::new("TIME"),
            all.arg("WITHSCORES"),
            Command::new("HGETALL").arg(crons),
        ]);
        let answers = answers
            .await?
            .into_iter()
            .collect::<Result<Vec<Value>, _>>()?;
        let ((seconds, _), due, crons): (
            (u64, u64),
            BTreeMap<String, f64>,
            BTreeMap<String, String>,
        ) = FromValue::from_value(Value::Array(answers))?;
        for (name, due_ms) in due {
            let cron = crons.get(&name).and_then(|cron| Cron::parse(cron).ok());
            let due_ms = due_ms as u64;
            if let Some(next_ms) = cron.and_then(|cron| set_back(&cron, due_ms, seconds * 1000)) {
                self.tick(&name, due_ms, next_ms, "move").await?;
            }
        }
        Ok(())
    }

    /// Notes the next tick of a schedule, and says whether nobody else was faster.
    pub(super) async fn tick(
        &self,
        name: &str,
        due_ms: u64,
        next_ms: u64,
        how: &str,
    ) -> Result<bool, Error> {
        let (trim, bound) = self.trim().words();
        TICK.on(self.store())
            .key(self.key().clone())
            .key(self.key().part(keys::SCHEDULES))
            .key(self.key().part(keys::SCHEDULES_BODIES))
            .arg(name)
            .arg(due_ms)
            .arg(next_ms)
            .arg(how)
            .arg(trim)
            .arg(bound)
            .run()
            .await
    }
}

/// Where a tick belongs that is more than two intervals ahead. Ticks that have been are not repeated
/// for less.
fn set_back(cron: &Cron, due_ms: u64, now_ms: u64) -> Option<u64> {
    let interval_ms = cron.after(due_ms)? - due_ms;
    let is_too_far = due_ms.saturating_sub(now_ms) > 2 * interval_ms;
    is_too_far.then(|| cron.after(now_ms))?
}
