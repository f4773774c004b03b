//! Forgetting many values at once.

use larder_store::{Command, Error, FromValue};

use super::lease::LEASE;
use super::read::CHUNK;
use super::settings::Cache;

impl<T> Cache<T> {
    /// Forgets every value that has one of these tags. Loads that are under way are not kept under a tag
    /// that they have.
    ///
    /// One round trip for a thousand tags, however many values there are: what was made under the tags as
    /// they were is not used any more, and expires.
    ///
    /// # Errors
    ///
    /// Those of the store; each of the tags may then be invalidated or not. It is safe to do it again.
    pub async fn invalidate_tags<S: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = S>,
    ) -> Result<(), Error> {
        let tags: Vec<String> = tags
            .into_iter()
            .map(|tag| tag.as_ref().to_owned())
            .collect();
        // Who comes from here on need not wait for loads that began before.
        self.shared.flights.forget_tagged(&tags);
        for tags in tags.chunks(CHUNK) {
            self.remove_versions(tags).await?;
        }
        Ok(())
    }

    /// Forgets every value of this namespace, whatever made it. Loads that are under way are not kept.
    ///
    /// One round trip, however many values there are: they are not used any more, and expire.
    ///
    /// # Errors
    ///
    /// Those of the store; the values may then be there or not. It is safe to do it again.
    pub async fn clear(&self) -> Result<(), Error> {
        self.shared.flights.forget_all();
        self.shared
            .store
            .run(Command::new("UNLINK").arg(&self.shared.era_key))
            .await
    }

    /// Forgets every value whose name matches `pattern`, and says how many entries there were. Loads of
    /// such values that are under way are not kept.
    ///
    /// `*` matches any text, `?` any byte, `[ab]` and `[a-z]` one of these, and `\` takes the
    /// meaning of the next character away, as [`literal`](super::literal) does for a text from elsewhere.
    /// `{`, `}` and `%` are three bytes each in a key. Of a name longer than 200 bytes, the key has the
    /// first letters and a digest: only patterns that end in `*` find it, and not all of those.
    ///
    /// The store walks all its keys twice for this, a thousand in each round trip, without holding up
    /// others. What is set while it walks may be found or not. For what is done often, tags are
    /// the better way: [`Cache::invalidate_tags`].
    ///
    /// # Errors
    ///
    /// Those of the store. Some of the values are gone then. It is safe to do it again.
    pub async fn invalidate_matching(&self, pattern: &str) -> Result<u64, Error> {
        self.shared.flights.forget_all();
        let entries = self.shared.keys.matching(pattern);
        // A load from before this either loses its lease in the first walk, or has written its entry before
        // the second one begins: a walk finds whatever is there all the time.
        self.unlink_matching(&format!("{entries}:{LEASE}")).await?;
        self.unlink_matching(&entries).await
    }

    /// Removes the keys that match, and says how many there were.
    async fn unlink_matching(&self, pattern: &str) -> Result<u64, Error> {
        let mut count = 0;
        let mut pages = self.shared.store.scan(pattern);
        while let Some(found) = pages.next().await {
            // Each is a command of its own, since they are in different hash slots.
            let found = found?;
            let unlinks = found.iter().map(|key| Command::new("UNLINK").arg(key));
            for answer in self.shared.store.call_all(unlinks.collect()).await? {
                count += u64::from_value(answer?)?;
            }
        }
        Ok(count)
    }
}
