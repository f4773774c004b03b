//! Faults of the store.

use std::sync::Arc;
use std::time::Duration;

use larder_store::Error;

use crate::asking::Asking;
use crate::fault::{Data, Fault};
use crate::shared::Shared;

fn not_spread(fault: &Fault) -> Error {
    Error::invalid(format_args!(
        "\"{fault}\" needs a store of several parts: `Simulation::parts` or `Faulty::spread`"
    ))
}

impl Shared {
    /// Lets a fault of the store happen, just before a client asks or by itself, and writes it down.
    pub(crate) async fn happen(
        self: &Arc<Shared>,
        client: Option<&str>,
        fault: &Fault,
    ) -> Result<(), Error> {
        let happened = Asking::Happened(fault.clone());
        let asked = self.history.ask(client.unwrap_or("nobody"), happened);
        self.bring_about(client, fault).await?;
        asked.answer(Ok(Vec::new()));
        Ok(())
    }

    async fn bring_about(
        self: &Arc<Shared>,
        client: Option<&str>,
        fault: &Fault,
    ) -> Result<(), Error> {
        match fault {
            Fault::Down { lasts, data } => {
                self.cut(None, *lasts);
                if *data == Data::Lost {
                    self.site.empty().await?;
                }
            }
            Fault::CutOff(lasts) if client.is_some() => self.cut(client, *lasts),
            Fault::FailOver { lost, behind } => {
                let memory = self.site.memory()?;
                self.cut(None, Duration::ZERO);
                memory.fail_over(*lost, *behind);
            }
            Fault::PartAway(lasts) => {
                if !self.parts.take_away(self.course.lock().chance(), *lasts) {
                    return Err(not_spread(fault));
                }
            }
            Fault::MoveSlot(lasts) => {
                if self.parts.all().is_none() {
                    return Err(not_spread(fault));
                }
                let keys = self.site.keys("*").await?;
                let mut course = self.course.lock();
                if let Some(key) = course.chance().pick(&keys) {
                    self.parts.send(key, course.chance(), *lasts);
                }
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

    /// Cuts the connections of a client, or of all, for so long.
    fn cut(self: &Arc<Shared>, client: Option<&str>, lasts: Duration) {
        let number = self.line.cut(client, !lasts.is_zero());
        if lasts.is_zero() {
            return;
        }
        let (line, client) = (self.line.clone(), client.map(str::to_owned));
        self.under_way.spawn(async move {
            tokio::time::sleep(lasts).await;
            line.mend(client.as_deref(), number);
        });
    }
}
