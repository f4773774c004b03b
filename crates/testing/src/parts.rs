//! The parts of a store that is spread over several, as a cluster is over its masters.
//!
//! All keys lie in one store behind the faults; what belongs to which part is known here alone. A part
//! owns slots. It may be away for a while, and a slot of it may be on its way to another part.

use std::collections::HashMap;
use std::time::Duration;

use larder_store::{Command, Error, Part, Refusal, Value, slot, slot_of};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::fault::away;
use crate::pause::pause;
use crate::site::Site;

/// How many slots there are.
const SLOTS: u32 = 16384;

/// How long a command of several keys is tried again whose slot is on its way.
const PATIENCE: Duration = Duration::from_millis(200);

/// What belongs to which part, and how it stands with them. One that is not spread has no parts.
#[derive(Debug, Default)]
pub(crate) struct Parts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u32,
    /// The owners of slots that are not where they began.
    moved: HashMap<u16, u32>,
    /// A number for each part that is another after it has lost a slot or got one.
    versions: Vec<u64>,
    /// Until when parts are away.
    away: HashMap<u32, Instant>,
    /// Slots on their way.
    moving: HashMap<u16, Moving>,
}

#[derive(Clone, Copy, Debug)]
struct Moving {
    to: u32,
    until: Instant,
}

/// How commands find the part that they are for.
enum Found {
    /// There.
    Here,
    /// At another part by now, or not: both are asked.
    OnItsWay,
    /// Some of the keys are there and some are not, until then.
    Torn(Instant),
}

impl Parts {
    /// Spreads the store over so many parts, evenly.
    pub(crate) fn spread(&self, count: u32) {
        *self.0.lock() = State {
            count,
            versions: vec![1; count as usize],
            ..State::default()
        };
    }

    /// The parts, or `None` if the store is not spread.
    pub(crate) fn all(&self) -> Option<Vec<Part>> {
        let state = self.now();
        let part = |(number, version): (usize, &u64)| {
            Part::new(format!("part-{number}")).with_version(*version)
        };
        (state.count > 0).then(|| state.versions.iter().enumerate().map(part).collect())
    }

    /// Takes a part away for so long, and everything that is on it. `false` if there are none.
    pub(crate) fn take_away(&self, chance: &mut Chance, lasts: Duration) -> bool {
        let mut state = self.now();
        let part = chance.below(u64::from(state.count)) as u32;
        state.away.insert(part, Instant::now() + lasts);
        state.count > 0
    }

    /// Sends the slot of a key to another part, where it is after this time. `false` if there is none.
    pub(crate) fn send(&self, key: &[u8], chance: &mut Chance, lasts: Duration) -> bool {
        let mut state = self.now();
        if state.count < 2 {
            return false;
        }
        let slot = slot(key);
        let further = 1 + chance.below(u64::from(state.count) - 1) as u32;
        let to = (state.owner(slot) + further) % state.count;
        let until = Instant::now() + lasts;
        state.moving.entry(slot).or_insert(Moving { to, until });
        true
    }

    /// Lets all parts come back, and all slots arrive.
    pub(crate) fn come_back(&self) {
        let mut state = self.0.lock();
        state.away.clear();
        let now = Instant::now();
        state
            .moving
            .values_mut()
            .for_each(|moving| moving.until = now);
        state.settle(now);
    }

    /// Runs commands, one or a transaction, on the part that they are for. `trip` is how long it takes
    /// to ask a second part.
    pub(crate) async fn run(
        &self,
        site: &Site,
        unit: Vec<Command>,
        trip: Duration,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        if self.now().count == 0 {
            return site.run(unit).await;
        }
        if let [command] = &unit[..]
            && let Some(part) = command.delivery().part.clone()
        {
            return Ok(vec![self.run_on(site, &part, command.clone()).await]);
        }
        let refused = |error: Error| Ok(vec![Err(error); unit.len()]);
        let found = self.find(&unit);
        match found {
            Ok(Found::Here) => site.run(unit).await,
            Ok(Found::OnItsWay) => {
                pause(trip).await;
                site.run(unit).await
            }
            Ok(Found::Torn(until)) => {
                tokio::time::sleep_until(until.min(Instant::now() + PATIENCE)).await;
                match self.find(&unit) {
                    Ok(Found::Torn(_)) => refused(torn()),
                    Ok(_) => site.run(unit).await,
                    Err(error) => refused(error),
                }
            }
            Err(error) => refused(error),
        }
    }

    fn find(&self, unit: &[Command]) -> Result<Found, Error> {
        let mut slots = Vec::new();
        for command in unit {
            slots.extend(slot_of(command)?);
        }
        let state = self.now();
        let Some(&slot) = slots.first() else {
            let is_there = (0..state.count).any(|part| !state.away.contains_key(&part));
            return is_there.then_some(Found::Here).ok_or_else(away);
        };
        if slots.iter().any(|other| *other != slot) {
            return Err(Error::invalid(
                "the keys of this transaction are in different slots of a cluster (CROSSSLOT)",
            ));
        }
        if state.away.contains_key(&state.owner(slot)) {
            return Err(away());
        }
        let is_for_many = |command: &Command| {
            let mut keys = command.keys();
            let first = keys.next().map(<[u8]>::to_vec);
            keys.any(|key| Some(key) != first.as_deref())
        };
        Ok(match state.moving.get(&slot) {
            None => Found::Here,
            Some(_) if !unit.iter().any(is_for_many) => Found::OnItsWay,
            Some(moving) => Found::Torn(moving.until),
        })
    }

    /// Runs a command on a part that its caller has named.
    async fn run_on(&self, site: &Site, part: &Part, command: Command) -> Result<Value, Error> {
        let number = self.number_of(part)?;
        let is_here = |key: &[u8]| self.now().owner(slot(key)) == number;
        let is_named = |name: &str| command.name().eq_ignore_ascii_case(name.as_bytes());
        if is_named("DBSIZE") {
            let keys = site.keys("*").await?;
            let count = keys.iter().filter(|key| is_here(key)).count();
            return Ok(Value::Int(count as i64));
        }
        if is_named("FLUSHDB") || is_named("FLUSHALL") {
            for key in site.keys("*").await? {
                if is_here(&key) {
                    site.remove(key).await?;
                }
            }
            return Ok(Value::ok());
        }
        let lists_keys = is_named("SCAN") || is_named("KEYS");
        let answer = site.store().call(command).await?;
        Ok(match lists_keys {
            true => only(answer, &is_here),
            false => answer,
        })
    }

    fn number_of(&self, part: &Part) -> Result<u32, Error> {
        let state = self.now();
        let number = part.as_str().strip_prefix("part-");
        let number: u32 = number
            .and_then(|number| number.parse().ok())
            .ok_or(Error::Gone)?;
        match state.versions.get(number as usize) {
            Some(_) if state.away.contains_key(&number) => Err(away()),
            Some(version) if *version == part.version() || part.version() == 0 => Ok(number),
            _ => Err(Error::Gone),
        }
    }

    /// How it stands now.
    fn now(&self) -> parking_lot::MutexGuard<'_, State> {
        let mut state = self.0.lock();
        state.settle(Instant::now());
        state
    }
}

impl State {
    fn owner(&self, slot: u16) -> u32 {
        let began = u32::from(slot) * self.count / SLOTS;
        self.moved.get(&slot).copied().unwrap_or(began)
    }

    /// Lets arrive and come back what is to by now.
    fn settle(&mut self, now: Instant) {
        self.away.retain(|_, until| *until > now);
        let arrived: Vec<_> = { self.moving.iter() }
            .filter(|(_, moving)| moving.until <= now)
            .map(|(slot, moving)| (*slot, moving.to))
            .collect();
        for (slot, to) in arrived {
            let from = self.owner(slot);
            self.moving.remove(&slot);
            self.moved.insert(slot, to);
            for part in [from, to] {
                self.versions[part as usize] += 1;
            }
        }
    }
}

/// What a command of several keys is told whose slot does not arrive.
fn torn() -> Error {
    Error::Refused(Refusal::new(
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ))
}

/// An answer that lists keys, with those that are wanted: a list, or a cursor and a list.
fn only(answer: Value, is_wanted: &impl Fn(&[u8]) -> bool) -> Value {
    let Value::Array(items) = answer else {
        return answer;
    };
    let keep = |item: &Value| match item {
        Value::Bytes(key) => is_wanted(key),
        _ => true,
    };
    match &items[..] {
        [cursor, list @ Value::Array(_)] => {
            Value::Array(vec![cursor.clone(), only(list.clone(), is_wanted)])
        }
        _ => Value::Array(items.into_iter().filter(keep).collect()),
    }
}
