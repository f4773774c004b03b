//! A store that misbehaves.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_store::{
    Answer, Backend, Channels, Command, Error, Store, Subscription, Value, refuse_batch,
    refuse_state,
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::Answers;
use crate::fault::{Data, Fault};
use crate::history::{Asked, History, Timeline};
use crate::line::Line;
use crate::listen;
use crate::memory::Memory;
use crate::plan::{Course, Fate};
use crate::scripts::Scripts;
use crate::site::Site;
use crate::{Chance, Plan};

/// A store that misbehaves by a plan. Clones share it.
///
/// Its clients are stores like any other, for the code that is tested. It has to be used within a
/// runtime of tokio; where the time of that is paused, a run can be repeated exactly.
///
/// # Examples
///
/// ```
/// use larder_testing::{Calls, Fault, Faulty, Plan};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), larder_store::Error> {
/// let plan = Plan::new().with(Calls::named("INCR").nth(2), Fault::LoseAnswer);
/// let faulty = Faulty::memory(plan, 7);
/// let store = faulty.client("shop");
///
/// assert_eq!(store.incr("visits").await?, 1);
/// assert!(store.incr("visits").await.unwrap_err().is_in_doubt());
/// assert_eq!(store.incr("visits").await?, 3);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Faulty {
    shared: Arc<Shared>,
}

/// What was asked of a store, or happened to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Asking {
    /// Commands: one, or those of a pipeline.
    Commands {
        /// What was sent, or was to be.
        commands: Vec<Command>,
        /// What happened to one of them.
        fault: Option<Fault>,
    },
    /// Something that happened to the store.
    Happened(Fault),
}

/// What the clients share.
pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) line: Line,
    pub(crate) scripts: Scripts,
    /// What was sent and goes on, whether or not its caller waits for it.
    pub(crate) under_way: TaskTracker,
    pub(crate) history: History<Asking, Answers>,
    timeline: Timeline,
    course: Mutex<Course>,
}

impl Faulty {
    /// A store that stands in front of this one. What the plan does by chance comes from `seed`.
    ///
    /// # Panics
    ///
    /// If the plan moves the clock or fails over, which only [`Faulty::memory`] can do.
    pub fn new(store: &Store, plan: Plan, seed: u64) -> Faulty {
        assert!(
            !plan.needs_memory(),
            "only the store of `Faulty::memory` has a clock to set and a copy to fail over to",
        );
        Faulty::on(Site::Any(Mutex::new(store.clone())), plan, seed)
    }

    /// A memory store of its own. Its clock begins on the first day of 2026, follows the time of tokio,
    /// paused or not, and can be set; its own randomness comes from `seed` as well.
    pub fn memory(plan: Plan, seed: u64) -> Faulty {
        let memory = Memory::new(Chance::of(seed, "store").bytes());
        Faulty::on(Site::Memory(memory), plan, seed)
    }

    fn on(site: Site, plan: Plan, seed: u64) -> Faulty {
        let began = Instant::now();
        let shared = Arc::new_cyclic(|shared: &std::sync::Weak<Shared>| {
            let shared = shared.clone();
            let timeline = Timeline::new(move || {
                let clock = shared.upgrade().map(|shared| shared.site.clock());
                (began.elapsed(), clock.unwrap_or(SystemTime::UNIX_EPOCH))
            });
            Shared {
                site,
                line: Line::new(),
                scripts: Scripts::default(),
                under_way: TaskTracker::new(),
                history: History::new(timeline.clone()),
                timeline,
                course: Mutex::new(Course::new(plan, Chance::of(seed, "course"))),
            }
        });
        Faulty { shared }
    }

    /// The store as a client of this name sees it: a process, say. What it asks is written down under
    /// its name, and rules can be for it alone.
    ///
    /// Closing it closes it for this client.
    pub fn client(&self, name: &str) -> Store {
        Store::new(Client {
            shared: Arc::clone(&self.shared),
            name: name.into(),
            closed: CancellationToken::new(),
        })
    }

    /// The store without any faults, to look at what is there.
    pub fn without_faults(&self) -> Store {
        self.shared.site.store()
    }

    /// Follows another plan from here on, and begins to count anew.
    ///
    /// # Panics
    ///
    /// As [`Faulty::new`] does.
    pub fn follow(&self, plan: Plan) {
        assert!(
            !plan.needs_memory() || self.shared.site.memory().is_ok(),
            "only the store of `Faulty::memory` has a clock to set and a copy to fail over to",
        );
        self.shared.course.lock().follow(plan);
    }

    /// The plan that is followed.
    pub fn plan(&self) -> Plan {
        self.shared.course.lock().plan().clone()
    }

    /// Lets a fault of the store happen now.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a fault of a call, which a plan has to have, and for one that only a
    /// [`Faulty::memory`] can have; and those of the store.
    pub async fn happen(&self, fault: Fault) -> Result<(), Error> {
        self.shared.happen(&fault).await
    }

    /// Takes the store away until [`Faulty::come_back`].
    pub fn go_away(&self) {
        self.shared.line.cut(false);
    }

    /// Lets clients reach the store again.
    pub fn come_back(&self) {
        self.shared.line.mend();
    }

    /// Waits until nothing is on its way any more that was sent.
    pub async fn settled(&self) {
        self.shared.under_way.close();
        self.shared.under_way.wait().await;
        self.shared.under_way.reopen();
    }

    /// What was asked of the store, and what happened to it.
    pub fn history(&self) -> History<Asking, Answers> {
        self.shared.history.clone()
    }

    /// A history of something else, on the same clocks and in the same order.
    pub fn history_of<Q, A>(&self) -> History<Q, A> {
        History::new(self.shared.timeline.clone())
    }

    /// What the store's clock shows.
    pub fn clock(&self) -> SystemTime {
        self.shared.site.clock()
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("plan", &self.plan())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// What becomes of these commands.
    pub(crate) fn fate(&self, client: &str, commands: &[Command]) -> Fate {
        let mut fate = self.course.lock().next(client, commands);
        if let Some((place, refuse)) = self.scripts.learn(client, commands) {
            fate.fault = fate.fault.or(Some((place, Fault::Refuse(refuse))));
        }
        fate
    }

    /// Writes down that these commands are asked.
    pub(crate) fn write_down(
        &self,
        client: &str,
        commands: Vec<Command>,
        fate: &Fate,
    ) -> Asked<Asking, Answers> {
        let fault = fate.fault.as_ref().map(|(_, fault)| fault.clone());
        self.history
            .ask(client, Asking::Commands { commands, fault })
    }

    /// Lets a fault of the store happen, and writes it down.
    pub(crate) async fn happen(self: &Arc<Shared>, fault: &Fault) -> Result<(), Error> {
        let asked = self
            .history
            .ask("the store", Asking::Happened(fault.clone()));
        self.bring_about(fault).await?;
        asked.answer(Ok(Vec::new()));
        Ok(())
    }

    async fn bring_about(self: &Arc<Shared>, fault: &Fault) -> Result<(), Error> {
        match fault {
            Fault::Down { lasts, data } => self.go_down(*lasts, *data).await?,
            Fault::FailOver { lost, behind } => {
                let memory = self.site.memory()?;
                self.line.cut(true);
                memory.fail_over(*lost, *behind);
            }
            Fault::Evict(glob) => {
                let keys = self.site.keys(glob).await?;
                let evicted = self.course.lock().chance().pick(&keys).cloned();
                if let Some(key) = evicted {
                    self.site.remove(key).await?;
                }
            }
            Fault::Expire(glob) => {
                for key in self.site.keys(glob).await? {
                    if self.site.time_to_live(&key).await?.is_some() {
                        self.site.remove(key).await?;
                    }
                }
            }
            Fault::ClockForward(by) => self.site.memory()?.set_forward(*by),
            Fault::ClockBack(by) => self.site.memory()?.set_back(*by),
            of_call => {
                return Err(Error::invalid(format_args!(
                    "\"{of_call}\" happens to a call, and has to stand in a plan"
                )));
            }
        }
        Ok(())
    }

    async fn go_down(self: &Arc<Shared>, lasts: Duration, data: Data) -> Result<(), Error> {
        self.line.cut(lasts.is_zero());
        if data == Data::Lost {
            self.site.empty().await?;
        }
        if !lasts.is_zero() {
            let shared = Arc::clone(self);
            self.under_way.spawn(async move {
                tokio::time::sleep(lasts).await;
                shared.line.mend();
            });
        }
        Ok(())
    }
}

/// The store as one client sees it.
struct Client {
    shared: Arc<Shared>,
    name: Arc<str>,
    closed: CancellationToken,
}

impl Client {
    fn ask(&self, commands: Vec<Command>) -> impl Future<Output = Answers> + Send + use<> {
        let (shared, name) = (Arc::clone(&self.shared), Arc::clone(&self.name));
        let closed = self.closed.clone();
        async move {
            if closed.is_cancelled() {
                return Err(Error::Closed);
            }
            tokio::select! {
                biased;
                () = closed.cancelled() => Err(Error::unanswered("the store was closed")),
                answers = shared.exchange(&name, commands) => answers,
            }
        }
    }
}

impl Backend for Client {
    fn call(&self, command: Command) -> Answer<'_, Value> {
        if let Some(error) = refuse_state(&command) {
            return Answer::ready(Err(error));
        }
        let answers = self.ask(vec![command]);
        Answer::later(async move { answers.await?.pop().unwrap_or(Ok(Value::Null)) })
    }

    fn call_all(&self, commands: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
        match refuse_batch(&commands) {
            Some(error) => Answer::ready(Err(error)),
            None => Answer::later(self.ask(commands)),
        }
    }

    fn subscribe(&self, channels: Channels) -> Answer<'_, Subscription> {
        if self.closed.is_cancelled() {
            return Answer::ready(Err(Error::Closed));
        }
        let (shared, name) = (Arc::clone(&self.shared), Arc::clone(&self.name));
        Answer::later(listen::subscribe(
            shared,
            name,
            self.closed.clone(),
            channels,
        ))
    }

    fn close(&self) -> Answer<'_, ()> {
        self.closed.cancel();
        Answer::ready(Ok(()))
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asking::Commands { commands, fault } => {
                for (place, command) in commands.iter().enumerate() {
                    let separator = if place == 0 { "" } else { "; " };
                    let text: String = command.to_string().chars().take(120).collect();
                    write!(f, "{separator}{}", text.escape_debug())?;
                }
                match fault {
                    Some(fault) => write!(f, " ({fault})"),
                    None => Ok(()),
                }
            }
            Asking::Happened(fault) => fault.fmt(f),
        }
    }
}
