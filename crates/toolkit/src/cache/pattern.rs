//! Forgetting values by a pattern of their names.

use larder_store::{Command, FromValue};

use super::{Cache, Error};

/// How many keys the store looks at in one step.
const STEP: usize = 1000;

/// The pattern that matches this text and nothing else, for use as a part of a pattern.
///
/// ```
/// use larder_toolkit::cache::literal;
///
/// assert_eq!(format!("{}:*", literal("user[1]")), r"user\[1\]:*");
/// ```
pub fn literal(text: &str) -> String {
    let special = |character| matches!(character, '*' | '?' | '[' | ']' | '\\');
    text.chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

impl Cache {
    /// Forgets every value whose name matches `pattern`, and says how many there were. Loads of
    /// such values that are under way are not kept.
    ///
    /// `*` matches any text, `?` any byte, `[ab]` and `[a-z]` one of these, and `\` takes the
    /// meaning of the next character away, as [`literal`] does for a text from elsewhere. `{`, `}`
    /// and `%` are three bytes each in a key. Of a name longer than 200 bytes, the key has the first
    /// letters and a digest: only patterns that end in `*` find it, and not all of those.
    ///
    /// The store walks all its keys for this, a thousand in each round trip, without holding up
    /// others. What is set while it walks may be found or not. For what is done often, tags are
    /// the better way: [`Cache::invalidate_tags`].
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store gave no answer. Some of the values are gone then. It is safe
    /// to do it again.
    pub async fn invalidate_matching(&self, pattern: &str) -> Result<u64, Error> {
        self.shared.flights.forget_all();
        // The star finds the lease as well. It can't leave the name: braces in names are escaped.
        let keys = format!("{}*", self.keys.matching(pattern));
        let mut cursor = "0".to_owned();
        let mut count = 0;
        loop {
            let scan = Command::new("SCAN").arg(&cursor);
            let scan = scan.arg("MATCH").arg(&keys).arg("COUNT").arg(STEP);
            let (next, found): (String, Vec<String>) = self.store.run(scan).await?;
            count += self.unlink(&found).await?;
            if next == "0" {
                return Ok(count);
            }
            cursor = next;
        }
    }

    /// Forgets every value of this namespace: [`Cache::invalidate_matching`] with `*`.
    ///
    /// # Errors
    ///
    /// Those of [`Cache::invalidate_matching`].
    pub async fn clear(&self) -> Result<u64, Error> {
        self.invalidate_matching("*").await
    }

    /// Removes keys, and says how many entries were among them. Each is a command of its own,
    /// since they are in different hash slots.
    async fn unlink(&self, keys: &[String]) -> Result<u64, Error> {
        let unlinks = keys.iter().map(|key| Command::new("UNLINK").arg(key));
        let answers = self.store.call_all(unlinks.collect()).await?;
        let mut count = 0;
        for (key, answer) in keys.iter().zip(answers) {
            let removed = u64::from_value(answer?)?;
            count += if key.ends_with('}') { removed } else { 0 };
        }
        Ok(count)
    }
}
