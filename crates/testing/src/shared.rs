//! What the clients of a store share that misbehaves.

use std::sync::{Arc, Weak};
use std::time::SystemTime;

use larder_store::Command;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::asking::{Answers, Asking};
use crate::chance::Chance;
use crate::fault::Fault;
use crate::history::{Asked, History, Timeline};
use crate::line::Line;
use crate::parts::Parts;
use crate::plan::{Course, Fate, Plan};
use crate::scripts::Scripts;
use crate::site::Site;

/// What the clients share.
pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) line: Line,
    pub(crate) parts: Parts,
    pub(crate) scripts: Scripts,
    /// What was sent and goes on, whether or not its caller waits for it.
    pub(crate) under_way: TaskTracker,
    pub(crate) history: History<Asking, Answers>,
    pub(crate) timeline: Timeline,
    pub(crate) course: Mutex<Course>,
}

impl Shared {
    /// A store behind faults, of which none has happened yet.
    pub(crate) fn new(site: Site, plan: Plan, seed: u64) -> Arc<Shared> {
        let began = Instant::now();
        Arc::new_cyclic(|shared: &Weak<Shared>| {
            let shared = shared.clone();
            let timeline = Timeline::new(move || {
                let clock = shared.upgrade().map(|shared| shared.site.clock());
                (began.elapsed(), clock.unwrap_or(SystemTime::UNIX_EPOCH))
            });
            Shared {
                site,
                line: Line::new(),
                parts: Parts::default(),
                scripts: Scripts::default(),
                under_way: TaskTracker::new(),
                history: History::new(timeline.clone()),
                timeline,
                course: Mutex::new(Course::new(plan, Chance::of(seed, "course"))),
            }
        })
    }

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
}
