//! A limiter, and what it asks of the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_store::{Command, Error, Key, Keys, Script, ScriptCall, Store};
use serde::Deserialize;

use super::decision::{Decision, Permit};
use super::denials::Denials;
use super::limit::{Kind, Limit};
use super::quota::Quota;
use super::twins;

/// A script that stands on the limits of every kind.
macro_rules! with_all_kinds {
    ($script:literal) => {
        Script::new(concat!(
            include_str!("common.lua"),
            include_str!("gcra.lua"),
            include_str!("kinds.lua"),
            include_str!("gcra_kind.lua"),
            include_str!("fixed_window.lua"),
            include_str!("sliding_window.lua"),
            include_str!("sliding_counter.lua"),
            include_str!("limits.lua"),
            include_str!($script)
        ))
        .named(concat!("rate_limit/", $script))
    };
}

pub(super) static TAKE: Script = Script::new(concat!(
    include_str!("common.lua"),
    include_str!("gcra.lua"),
    include_str!("take.lua")
))
.named("rate_limit/take.lua")
.with_twin(twins::take);
pub(super) static DECIDE: Script = with_all_kinds!("decide.lua").with_twin(twins::decide);
pub(super) static REFUND: Script = with_all_kinds!("refund.lua").with_twin(twins::refund);

/// The refusals of a store that does not serve at the moment, whatever it is asked.
const NOT_NOW: [&str; 9] = [
    "OOM",
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "CLUSTERDOWN",
    "TRYAGAIN",
];

/// What a limiter does when the store is away, gives no answer, or does not serve at the moment: when it
/// is full, read-only or loading its data. Other refusals and answers that can't be understood are
/// mistakes, which nobody should overlook: they are given to the caller in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutStore {
    /// It gives the error to its caller.
    #[default]
    Fail,
    /// It allows, with [`Decision::Unchecked`].
    Allow,
    /// It denies, with [`Decision::Unchecked`].
    Deny,
}

/// Limits of a namespace, for callers by name. Cloning it is cheap and shares it.
#[derive(Clone, Debug)]
pub struct Limiter {
    store: Store,
    rules: Arc<Rules>,
    /// Who was denied by these rules, if this process is to remember it.
    denials: Option<Arc<Denials>>,
}

#[derive(Clone, Debug)]
struct Rules {
    keys: Keys,
    limits: Vec<Limit>,
    block: Duration,
    without_store: WithoutStore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Take,
    TakeUpTo,
    Peek,
}

impl Limiter {
    /// A limiter with this limit, in this namespace.
    ///
    /// Limits of the same kind and [name](Limit::named) in a namespace share what they have counted,
    /// whichever limiters they are in, in whichever order. A limit that is given no name is called after
    /// its kind and numbers, so another quota is another count. One that is named keeps its count when its numbers
    /// change; nobody has to wait for longer than the new limit alone would have it.
    pub fn new(store: &Store, namespace: &str, limit: Limit) -> Limiter {
        Limiter {
            store: store.clone(),
            rules: Arc::new(Rules {
                keys: Keys::new(namespace, "limit"),
                limits: vec![limit],
                block: Duration::ZERO,
                without_store: WithoutStore::default(),
            }),
            denials: None,
        }
    }

    /// The same limiter with one limit more. A request has to be within all of them; one that is
    /// denied by one of them takes nothing from the others.
    ///
    /// # Panics
    ///
    /// If there is a limit of this name already.
    #[must_use]
    pub fn and(self, limit: Limit) -> Limiter {
        let is_new = self
            .limits()
            .iter()
            .all(|other| other.name() != limit.name());
        assert!(is_new, "there is a limit {:?} already", limit.name());
        self.with(|rules| rules.limits.push(limit))
    }

    /// Denies everything to a caller for this long after a request was denied. Requests during the block
    /// do not make it longer. None by default.
    ///
    /// Limiters of a namespace that have the same limits by name share their blocks.
    ///
    /// # Panics
    ///
    /// If it is longer than [`Quota::PER_MAX`].
    #[must_use]
    pub fn block(self, time: Duration) -> Limiter {
        assert!(
            time <= Quota::PER_MAX,
            "a block is at most 366 days, not {time:?}"
        );
        self.with(|rules| rules.block = time)
    }

    /// What to do when the store does not answer: to fail by default.
    #[must_use]
    pub fn without_store(self, policy: WithoutStore) -> Limiter {
        self.with(|rules| rules.without_store = policy)
    }

    /// Remembers up to so many callers who were denied, and denies them until the time that the store has
    /// said without asking it again: a flood from a few callers is none for the store. Off by default. On a
    /// store inside the process it changes nothing, since to ask that is as fast.
    ///
    /// It costs this much of exactness. What another process gives back ([`Limiter::refund`]) or forgets
    /// ([`Limiter::reset`]), and a store's clock that is set forwards, help such a caller no sooner than the
    /// time that it was told; and the decisions that it gets meanwhile say what was left then. What this
    /// limiter and its clones give back counts at once. Nobody is let in by it who would not be, nobody is
    /// denied for longer than the store has said, and other callers notice nothing. [`Limiter::peek`]
    /// always asks.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[must_use]
    pub fn remember_denied(mut self, callers: usize) -> Limiter {
        assert!(callers > 0, "one caller or more is remembered, not 0");
        self.denials = Some(Arc::new(Denials::new(callers)));
        self
    }

    /// How many requests this limiter and its clones have denied without asking the store:
    /// [`Limiter::remember_denied`].
    pub fn denied_from_memory(&self) -> u64 {
        self.denials.as_ref().map_or(0, |denials| denials.count())
    }

    /// The limits, in order.
    pub fn limits(&self) -> &[Limit] {
        &self.rules.limits
    }

    /// Takes `permits` for `name`, if that many are free now in every limit. Taking none tells what is
    /// left: it is denied by a block alone.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// Those of the store, as [`Limiter::without_store`] has it; the permits may have been taken or not.
    pub async fn take(&self, name: &str, permits: u32) -> Result<Decision, Error> {
        self.decide(Action::Take, name, permits).await
    }

    /// Takes one permit for `name`, if one is free now in every limit: [`Limiter::take`] of one.
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::take`].
    pub async fn take_one(&self, name: &str) -> Result<Decision, Error> {
        self.take(name, 1).await
    }

    /// Takes as many permits for `name` as are free now in every limit, up to `permits` of them: the
    /// decision's permit says how many. It is denied if there is none.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::take`].
    pub async fn take_up_to(&self, name: &str, permits: u32) -> Result<Decision, Error> {
        self.decide(Action::TakeUpTo, name, permits.min(self.size()))
            .await
    }

    /// Says what [`Limiter::take`] would say, and takes nothing.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::take`].
    pub async fn peek(&self, name: &str, permits: u32) -> Result<Decision, Error> {
        self.decide(Action::Peek, name, permits).await
    }

    /// Gives permits back that `name` took and did not use, to every limit. What has come back by itself
    /// meanwhile is not given once more: nothing, if the window in which they were taken is over. A block
    /// stays.
    ///
    /// A permit is given back once, whole or in part ([`Permit::part`]). By GCRA it may be less than that,
    /// where others have been taken since and were given back before it.
    ///
    /// One round trip. The decision is what is there now.
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::take`]; the permits may have been given back or not. [`Error::Invalid`] if the
    /// permit is of a limiter with another number of limits.
    pub async fn refund(&self, name: &str, permit: &Permit) -> Result<Decision, Error> {
        if permit.permits() == 0 {
            return self.peek(name, 0).await;
        }
        if permit.marks.len() != 1 + self.limits().len() {
            return Err(Error::invalid(
                "a permit is given back to the limits from which it was taken",
            ));
        }
        let call = self.on_keys(&REFUND, name).arg(permit.permits());
        let answer = self.on_limits(call).args(&permit.marks).run().await;
        self.forget_denial(name);
        self.without_store_or(answer.map(decision))
    }

    /// Forgets what `name` has taken, and its block.
    ///
    /// One round trip.
    ///
    /// # Errors
    ///
    /// Those of the store; it may then be forgotten or not.
    pub async fn reset(&self, name: &str) -> Result<(), Error> {
        let unlink = Command::new("UNLINK").args(self.keys_of(name));
        let done = self.store.run(unlink).await;
        self.forget_denial(name);
        done
    }

    async fn decide(&self, action: Action, name: &str, permits: u32) -> Result<Decision, Error> {
        let too_small = self
            .limits()
            .iter()
            .position(|limit| limit.size() < permits);
        if let Some(limit) = too_small {
            let size = self.limits()[limit].size();
            return Ok(Decision::Never { size, limit });
        }
        let Some(denials) = self.denials_for(action) else {
            return self.ask(action, name, permits).await;
        };
        // Up to some permits is denied where there is not one.
        let least = match action {
            Action::TakeUpTo => permits.min(1),
            Action::Take | Action::Peek => permits,
        };
        let caller = self.rules.keys.of(name);
        let asked = match denials.ask(&caller, least, Instant::now()) {
            Ok(denied) => return Ok(denied),
            Err(asked) => asked,
        };
        let decision = self.ask(action, name, permits).await?;
        denials.note(caller, least, asked, &decision);
        Ok(decision)
    }

    /// Asks the store.
    async fn ask(&self, action: Action, name: &str, permits: u32) -> Result<Decision, Error> {
        let answer: Result<Answer, Error> = match self.limits() {
            [limit] if self.is_simple(action, limit) => {
                let call = TAKE.on(&self.store).key(self.state_key(name, limit));
                call.arg(permits)
                    .arg(limit.size())
                    .args(limit.numbers())
                    .run()
                    .await
            }
            _ => {
                let call = self.on_keys(&DECIDE, name).arg(action.name());
                let call = call.arg(permits).arg(self.rules.block.as_micros());
                self.on_limits(call).run().await
            }
        };
        self.without_store_or(answer.map(decision))
    }

    /// What is known of denials, where it saves a question.
    fn denials_for(&self, action: Action) -> Option<&Denials> {
        let denials = self.denials.as_deref()?;
        (action != Action::Peek && !self.store.is_in_process()).then_some(denials)
    }

    fn forget_denial(&self, name: &str) {
        if let Some(denials) = &self.denials {
            denials.forget(&self.rules.keys.of(name));
        }
    }

    fn on_keys(&self, script: &'static Script, name: &str) -> ScriptCall<'_> {
        let keys = self.keys_of(name).into_iter();
        keys.fold(script.on(&self.store), ScriptCall::key)
    }

    /// Adds what `limits.lua` wants of each limit.
    fn on_limits<'a>(&self, call: ScriptCall<'a>) -> ScriptCall<'a> {
        self.limits().iter().fold(call, |call, limit| {
            let call = call.arg(limit.kind().name()).arg(limit.size());
            call.args(limit.numbers())
        })
    }

    fn is_simple(&self, action: Action, limit: &Limit) -> bool {
        action == Action::Take && self.rules.block.is_zero() && limit.kind() == Kind::Gcra
    }

    /// What was decided, or what the policy decides if the store is the reason that nothing was.
    fn without_store_or(&self, decided: Result<Decision, Error>) -> Result<Decision, Error> {
        let error = match decided {
            Err(error) if is_of_the_store(&error) => error,
            decided => return decided,
        };
        let is_allowed = match self.rules.without_store {
            WithoutStore::Fail => return Err(error),
            WithoutStore::Allow => true,
            WithoutStore::Deny => false,
        };
        tracing::warn!(%error, is_allowed, "a limit was not checked");
        Ok(Decision::Unchecked { is_allowed })
    }

    /// The most that can be taken at once from all limits.
    fn size(&self) -> u32 {
        self.limits()
            .iter()
            .map(Limit::size)
            .min()
            .unwrap_or_default()
    }

    /// The block, and the state of each limit.
    fn keys_of(&self, name: &str) -> Vec<Key> {
        let mut names: Vec<&str> = self.limits().iter().map(Limit::name).collect();
        names.sort_unstable();
        let block = self
            .rules
            .keys
            .of(name)
            .part(&format!("block:{}", names.join("+")));
        let states = self
            .limits()
            .iter()
            .map(|limit| self.state_key(name, limit));
        [block].into_iter().chain(states).collect()
    }

    fn state_key(&self, name: &str, limit: &Limit) -> Key {
        self.rules.keys.of(name).part(&limit.state_part())
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Limiter {
        change(Arc::make_mut(&mut self.rules));
        // By other rules it is others who are denied.
        self.denials = self.denials.map(|denials| Arc::new(denials.anew()));
        self
    }
}

impl Action {
    /// What `decide.lua` calls it.
    fn name(self) -> &'static str {
        match self {
            Action::Take => "take",
            Action::TakeUpTo => "take-up-to",
            Action::Peek => "peek",
        }
    }
}

/// Whether an error says something of the store's state, and nothing of what it was asked.
fn is_of_the_store(error: &Error) -> bool {
    let not_now = || NOT_NOW.iter().any(|code| error.is_refusal(code));
    error.is_away() || error.is_in_doubt() || not_now()
}

/// What the scripts return; `decide.lua` says what the numbers are.
type Answer = (u32, u32, u64, u64, usize, Vec<u64>);

fn decision((permits, left, wait_us, reset_us, limit, marks): Answer) -> Decision {
    let reset_after = Duration::from_micros(reset_us);
    match wait_us {
        0 => Decision::Allowed {
            left,
            reset_after,
            limit,
            permit: Permit::new(permits, marks),
        },
        wait_us => Decision::Denied {
            left,
            retry_after: Duration::from_micros(wait_us),
            reset_after,
            limit,
        },
    }
}
