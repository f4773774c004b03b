//! A store that misbehaves.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use larder_store::{Error, Store};
use parking_lot::Mutex;

use crate::asking::{Answers, Asking};
use crate::chance::Chance;
use crate::client::Client;
use crate::fault::Fault;
use crate::history::History;
use crate::memory::Memory;
use crate::plan::Plan;
use crate::shared::Shared;
use crate::site::Site;

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
        Faulty {
            shared: Shared::new(site, plan, seed),
        }
    }

    /// The store as a client of this name sees it: a process, say. What it asks is written down under
    /// its name, and rules can be for it alone.
    ///
    /// Closing it closes it for this client.
    pub fn client(&self, name: &str) -> Store {
        Store::new(Client::new(Arc::clone(&self.shared), name))
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
        self.shared.happen(None, &fault).await
    }

    /// Takes the store away until [`Faulty::come_back`].
    pub fn go_away(&self) {
        self.shared.line.cut(None, true);
    }

    /// Takes the store away from one client until [`Faulty::come_back`].
    pub fn cut_off(&self, client: &str) {
        self.shared.line.cut(Some(client), true);
    }

    /// Spreads the keys over so many parts, by their slots, as a cluster of so many masters does. From
    /// here on a command whose keys are in different slots is refused, and so is one that is about one
    /// part and does not say which; [`Store::parts`] names the parts, and [`Store::scan`] walks them all.
    ///
    /// ```
    /// # larder_testing::simulate(async |world| {
    /// use std::time::Duration;
    /// use larder_testing::Fault;
    ///
    /// world.faulty().spread(3);
    /// let store = world.store("shop");
    /// for number in 0..100 {
    ///     store.set(format!("cart:{number}"), "tea").await?;
    /// }
    ///
    /// world.happen(Fault::PartAway(Duration::from_secs(1))).await?;
    /// let mut away = 0;
    /// for number in 0..100 {
    ///     away += u32::from(store.get(format!("cart:{number}")).await.is_err());
    /// }
    /// assert!((1..100).contains(&away)); // some of the carts
    ///
    /// world.pass(Duration::from_secs(1)).await;
    /// assert!(store.get("cart:0").await.is_ok());
    /// # Ok(()) });
    /// ```
    ///
    /// # Panics
    ///
    /// If `parts` is zero.
    pub fn spread(&self, parts: u32) {
        assert!(parts > 0, "a store has at least one part");
        self.shared.parts.spread(parts);
    }

    /// Lets all clients reach the store again, and all parts of it; slots that are on their way arrive.
    pub fn come_back(&self) {
        self.shared.line.mend_all();
        self.shared.parts.come_back();
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
