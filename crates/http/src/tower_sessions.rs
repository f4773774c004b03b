//! A store for `tower-sessions`, and so for what stands on it, such as `axum-login`.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use larder_store::{Error, Store};
use larder_toolkit::session::{Secret, Vault};
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{self, SessionStore};

/// How often an id is drawn before it is given up that nobody has it.
const DRAWS_MAX: usize = 8;

/// Keeps the sessions of `tower-sessions` on any store, sealed with the session's id: the store sees
/// neither ids nor data.
///
/// A session that was deleted, or has expired, stays so: to save it is an error, and not a new
/// session. Otherwise the last save wins, since a record says nothing of the one that it was made
/// from. Where that is not enough, and for the list of a user's sessions, there is
/// [`SessionLayer`](crate::SessionLayer).
///
/// ```no_run
/// # fn example(store: larder_store::Store) {
/// use larder_http::TowerSessions;
/// use tower_sessions::SessionManagerLayer;
///
/// let layer = SessionManagerLayer::new(TowerSessions::new(&store, "shop"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TowerSessions {
    vault: Vault,
}

impl TowerSessions {
    /// The sessions of this namespace.
    pub fn new(store: &Store, namespace: &str) -> TowerSessions {
        TowerSessions {
            vault: Vault::new(store, namespace, "tower-session"),
        }
    }

    /// The same sessions, in which digests and keys follow from a secret of the application too: who
    /// can write the store can't make sessions up. To change it ends all sessions.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> TowerSessions {
        self.vault = self.vault.secret(secret);
        self
    }
}

#[async_trait]
impl SessionStore for TowerSessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        for _ in 0..DRAWS_MAX {
            let name = name(&record.id);
            let created = self.vault.create(&name, record, lasts(record)).await;
            if created.map_err(failed)? {
                return Ok(());
            }
            // Somebody has this one.
            record.id = Id::default();
        }
        Err(session_store::Error::Backend(
            "no id was found that nobody has".to_owned(),
        ))
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let name = name(&record.id);
        let replaced = self.vault.replace(&name, record, lasts(record)).await;
        match replaced.map_err(failed)? {
            true => Ok(()),
            false => Err(failed(Error::Gone)),
        }
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.vault.get(&name(id)).await.map_err(failed)
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.vault.remove(&name(id)).await.map_err(failed)?;
        Ok(())
    }
}

fn name(id: &Id) -> String {
    format!("{:032x}", id.0)
}

/// How long a record is still to be kept, by the clock that its end was reckoned with.
fn lasts(record: &Record) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ns = now.map_or(0, |now| i128::try_from(now.as_nanos()).unwrap_or(i128::MAX));
    let left_ns = record.expiry_date.unix_timestamp_nanos() - now_ns;
    // One that has ended already is kept for a moment: nobody keeps anything for no time.
    Duration::from_nanos(u64::try_from(left_ns.max(1)).unwrap_or(u64::MAX))
}

fn failed(error: Error) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}
