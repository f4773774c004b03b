//! Loading what nobody need wait for.

use std::time::Duration;

use larder_store::{BoxError, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::found::{Found, Seen, fresh};
use super::keep::Keep;
use super::loading::Loading;
use super::read::value_of;
use super::right::Wanted;
use super::settings::Cache;
use super::waits::{innermost, within};

impl<T: Serialize + DeserializeOwned + Send + 'static> Cache<T> {
    /// The value called `name`, or else what `load` gives, which goes on by itself: dropping this does not
    /// end it, and its value is kept however long it takes.
    ///
    /// - A value of which little is left is given out at once while the next one is loaded: see
    ///   [`Cache::refresh_ahead`].
    /// - A stale value is given out after [`Cache::soft_timeout`] while the next one is loaded.
    /// - Without either, this waits as long as [`Cache::wait`] says.
    ///
    /// Everything else is as in [`Cache::get_or_load`].
    ///
    /// # Errors
    ///
    /// Those of [`Cache::get_or_set`].
    ///
    /// # Examples
    ///
    /// ```
    /// # larder_testkit::doctest(async |store| {
    /// use std::time::Duration;
    /// use larder_toolkit::{Ttl, cache::{Cache, Keep}};
    ///
    /// let pages = Cache::new(&store, "pages", Ttl::minutes(5))
    ///     .grace(Duration::from_secs(3600))
    ///     .refresh_ahead(20)
    ///     .hard_timeout(Duration::from_secs(60));
    /// let page: String = pages.get_or_set_in_background("home", Keep::new(), |_| async {
    ///     Ok("<h1>Welcome</h1>".to_owned()) // takes its time
    /// }).await?;
    /// # assert_eq!(page, "<h1>Welcome</h1>");
    /// # Ok(()) });
    /// ```
    pub async fn get_or_set_in_background<F>(
        &self,
        name: &str,
        keep: Keep,
        load: impl FnOnce(Loading<T>) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, BoxError>> + Send + 'static,
    {
        keep.check()?;
        let (ready, seen, patience) = match self.first_look(&self.shared.keys.of(name)).await {
            Ok(
                Found::Due(value, _)
                | Found::No(Seen {
                    stale: Some(value), ..
                }),
            ) if self.shared.flights.is_flying(name) => {
                return Ok(value);
            }
            Ok(Found::Due(value, mut seen)) => {
                seen.stale = value_of(&seen.bytes);
                (Some(value), Ok(seen), Duration::ZERO)
            }
            Ok(Found::No(seen)) if seen.stale.is_some() => {
                (value_of(&seen.bytes), Ok(seen), self.settings.soft_timeout)
            }
            look => match fresh(look) {
                Ok(value) => return Ok(value),
                Err(seen) => (None, seen, self.settings.wait),
            },
        };
        // What nobody waits for is in no circle.
        let around = innermost().filter(|_| ready.is_none());
        let (cache, name) = (self.clone(), name.to_owned());
        let loaded = self.shared.background.spawn(within(around, async move {
            let key = &cache.shared.keys.of(&name);
            let wanted = Wanted {
                name: &name,
                key,
                keep,
                names_tags: true,
            };
            cache.fill(wanted, seen, load).await
        }));
        match timeout(patience, loaded).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(panicked)) => Err(Error::load(panicked)),
            Err(_) => ready.ok_or_else(|| self.timed_out()),
        }
    }

    /// Waits until no load goes on in the background, for who is about to end the process.
    pub async fn finish(&self) {
        self.shared.background.wait().await;
    }
}
