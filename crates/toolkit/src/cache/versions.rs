//! The versions of tags and of the namespace, by which entries become void together.
//!
//! An entry is good as long as its tags and its namespace have the versions that they had before its value
//! was loaded. A version is a random number that is never used again, and to invalidate is to remove it,
//! which a store that is full or read by many does at once.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use larder_store::{Command, Error, FromValue, Script};
use tokio::time::Instant;

use super::entry::{Tag, Version};
use super::era::{Known, RENEWED};
use super::settings::Cache;
use super::twins;
use crate::{join, random};

pub(super) static TAG: Script = Script::new(include_str!("tag.lua"))
    .named("cache/tag.lua")
    .with_twin(twins::tag)
    .repeatable();
pub(super) static MARKS: Script = Script::new(include_str!("marks.lua"))
    .named("cache/marks.lua")
    .with_twin(twins::marks)
    .repeatable();

/// The least time for which the version of a namespace is kept.
const ERA_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A version that nobody has had.
fn fresh() -> Version {
    random::bytes()
}

/// How many marks the tags of a cache share, and how long one is kept: longer than a load takes.
const MARKS_LEN: usize = 64;
const MARKS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the tags that were asked for have for versions, where they have one.
pub(super) type Current = HashMap<String, Option<Bytes>>;

/// The versions that an entry is made under.
#[derive(Debug)]
pub(super) struct Versions {
    pub(super) era: Version,
    pub(super) tags: Vec<Tag>,
    /// Of all tags, for those that the load may name yet.
    marks: Option<Vec<Bytes>>,
}

impl<T> Cache<T> {
    /// The versions for an entry with these tags, which is kept so long; with marks if the load may
    /// name more tags. `seen` is the version of the namespace that the caller has met.
    pub(super) async fn versions(
        &self,
        tags: &[String],
        kept_ms: u64,
        seen: Option<Version>,
        names_tags: bool,
    ) -> Result<Versions, Error> {
        let era = async {
            match (seen, self.known_era(kept_ms)) {
                // That it lasts long enough holds for each version of a namespace.
                (Some(seen), Some(_)) => Ok(seen),
                _ => self.renew_era(kept_ms).await,
            }
        };
        let marks = async {
            match names_tags {
                true => self.marks().await.map(Some),
                false => Ok(None),
            }
        };
        let (era, marks, tags) = tokio::try_join!(era, marks, self.tag_versions(tags, kept_ms))?;
        Ok(Versions { era, tags, marks })
    }

    /// Adds the tags that were named during the load. `false` if one of them may have been invalidated
    /// since it began.
    pub(super) async fn add_late_tags(
        &self,
        versions: &mut Versions,
        tags: &[String],
        kept_ms: u64,
    ) -> Result<bool, Error> {
        let Some(late) = tags
            .get(versions.tags.len()..)
            .filter(|late| !late.is_empty())
        else {
            return Ok(true);
        };
        // The versions first: who invalidates removes the marks first.
        versions
            .tags
            .extend(self.tag_versions(late, kept_ms).await?);
        let now = self.marks().await?;
        let before = versions.marks.as_ref();
        Ok(late
            .iter()
            .map(|tag| mark_of(tag))
            .all(|mark| before.is_some_and(|before| before.get(mark) == now.get(mark))))
    }

    /// The version of the namespace as it was last met, if it outlives an entry that is kept so long.
    pub(super) fn known_era(&self, kept_ms: u64) -> Option<Version> {
        self.shared.era.known(kept_ms)
    }

    /// The version of the namespace, made or extended so that it outlives an entry.
    pub(super) async fn renew_era(&self, kept_ms: u64) -> Result<Version, Error> {
        let kept_ms = match kept_ms {
            0 => 0,
            _ => kept_ms.max(ERA_KEPT.as_millis() as u64),
        };
        let renewed = Instant::now();
        let version = TAG.on(&self.shared.store).key(self.shared.era_key.clone());
        // A day more than entries are kept, since it is a day until this is asked again.
        let asked_ms = if kept_ms == 0 {
            0
        } else {
            kept_ms + RENEWED.as_millis() as u64
        };
        let version: Bytes = version.arg(asked_ms).arg(fresh()).run().await?;
        let version = to_version(&version)?;
        self.shared.era.learn(Known {
            version,
            kept_ms,
            renewed,
        });
        Ok(version)
    }

    /// Takes note of the version that was met when entries were written.
    pub(super) fn met_era(&self, version: Version) {
        self.shared.era.meet(version);
    }

    /// What these tags have for versions now. One round trip.
    pub(super) async fn current<'t>(
        &self,
        tags: impl Iterator<Item = &'t Tag>,
    ) -> Result<Current, Error> {
        let mut current: Current = tags.map(|tag| (tag.name.clone(), None)).collect();
        if current.is_empty() {
            return Ok(current);
        }
        let gets = current
            .keys()
            .map(|name| Command::new("GET").arg(self.shared.tag_keys.of(name)));
        let answers = self.shared.store.call_all(gets.collect()).await?;
        for (version, answer) in current.values_mut().zip(answers) {
            *version = Option::from_value(answer?)?;
        }
        Ok(current)
    }

    /// Removes the versions of these tags, so that no entry is good that was made under them. One round
    /// trip.
    pub(super) async fn remove_versions(&self, tags: &[String]) -> Result<(), Error> {
        let marks = Command::new("HDEL").arg(self.shared.tag_keys.only());
        let marks = marks.args(tags.iter().map(|tag| mark_of(tag)));
        let tags = tags
            .iter()
            .map(|tag| Command::new("UNLINK").arg(self.shared.tag_keys.of(tag)));
        let commands = std::iter::once(marks).chain(tags).collect();
        for answer in self.shared.store.call_all(commands).await? {
            answer?;
        }
        Ok(())
    }

    async fn tag_versions(&self, names: &[String], kept_ms: u64) -> Result<Vec<Tag>, Error> {
        let tags = names.iter().map(async |name| {
            let version = TAG
                .on(&self.shared.store)
                .key(self.shared.tag_keys.of(name));
            let version = version.arg(kept_ms).arg(fresh());
            Ok(Tag {
                name: name.clone(),
                version: to_version(&version.run::<Bytes>().await?)?,
            })
        });
        join::all(tags).await.into_iter().collect()
    }

    async fn marks(&self) -> Result<Vec<Bytes>, Error> {
        let marks = MARKS
            .on(&self.shared.store)
            .key(self.shared.tag_keys.only());
        let marks = marks.arg(MARKS_LEN).arg(fresh()).arg(MARKS_KEPT);
        marks.run().await
    }
}

/// Whether no tag has changed since an entry was made.
pub(super) fn are_current(tags: &[Tag], current: &Current) -> bool {
    tags.iter().all(|tag| match current.get(&tag.name) {
        Some(Some(version)) => version[..] == tag.version,
        _ => false,
    })
}

/// Which of the marks is that of a tag: FNV-1a of its name, the same in every process.
fn mark_of(tag: &str) -> usize {
    let hash = tag.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % MARKS_LEN as u64) as usize
}

/// A version as it stands in the store.
pub(super) fn to_version(bytes: &[u8]) -> Result<Version, Error> {
    bytes
        .try_into()
        .map_err(|_| Error::invalid("the version of a tag has eight bytes"))
}
