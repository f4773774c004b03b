//! Faults of the store.

use std::sync::Arc;
use std::time::Duration;

use larder_store::Error;

use crate::asking::Asking;
use crate::fault::{Data, Fault};
use crate::shared::Shared;

impl Shared {
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
