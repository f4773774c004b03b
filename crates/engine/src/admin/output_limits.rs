//! How much may wait for a client that takes it too slowly: `client-output-buffer-limit`.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::parameters::memory_size;

/// Clients that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputClass {
    /// Those that ask.
    Normal,
    /// Those that follow this server as its replicas.
    Replica,
    /// Those that listen to messages.
    PubSub,
}

/// When a client is closed because it does not take what waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// At more bytes than this, at once; 0 is never.
    pub hard: u64,
    /// At more bytes than this, if it stays so for longer than [`OutputLimit::soft_for`]; 0 is never.
    pub soft: u64,
    /// How long there may be more than [`OutputLimit::soft`], in whole seconds.
    pub soft_for: Duration,
}

/// A limit for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// For [`OutputClass::Normal`].
    pub normal: OutputLimit,
    /// For [`OutputClass::Replica`].
    pub replica: OutputLimit,
    /// For [`OutputClass::PubSub`].
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    /// Those of Redis: `normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60`.
    fn default() -> OutputLimits {
        let limit = |hard_mb: u64, soft_mb: u64| OutputLimit {
            hard: hard_mb << 20,
            soft: soft_mb << 20,
            soft_for: Duration::from_secs(60),
        };
        OutputLimits {
            normal: OutputLimit::default(),
            replica: limit(256, 64),
            pubsub: limit(32, 8),
        }
    }
}

impl OutputLimits {
    fn of(&mut self, class: OutputClass) -> &mut OutputLimit {
        match class {
            OutputClass::Normal => &mut self.normal,
            OutputClass::Replica => &mut self.replica,
            OutputClass::PubSub => &mut self.pubsub,
        }
    }

    /// These limits, changed as a text says: `CLASS HARD SOFT SECONDS`, once or more.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, in Redis's words.
    pub(super) fn changed(mut self, text: &[u8]) -> Result<OutputLimits, &'static str> {
        let text = larder_resp::text_of(text);
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (groups, rest) = words.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.");
        }
        for [class, hard, soft, soft_for] in groups {
            let class = class_of(class)
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            let limit = limit_of(hard, soft, soft_for);
            *self.of(class) = limit.ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
        }
        Ok(self)
    }
}

impl fmt::Display for OutputLimits {
    /// As CONFIG GET shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: &OutputLimit| {
            format!("{} {} {}", limit.hard, limit.soft, limit.soft_for.as_secs())
        };
        let (normal, replica, pubsub) = (&self.normal, &self.replica, &self.pubsub);
        let (normal, replica, pubsub) = (show(normal), show(replica), show(pubsub));
        write!(f, "normal {normal} slave {replica} pubsub {pubsub}")
    }
}

fn class_of(name: &str) -> Option<OutputClass> {
    match name.to_ascii_lowercase().as_str() {
        "normal" => Some(OutputClass::Normal),
        "slave" | "replica" => Some(OutputClass::Replica),
        "pubsub" => Some(OutputClass::PubSub),
        _ => None,
    }
}

fn limit_of(hard: &str, soft: &str, soft_for: &str) -> Option<OutputLimit> {
    let bytes = |text: &str| memory_size(text.as_bytes());
    let seconds = u32::try_from(crate::args::parse_int(soft_for.as_bytes())?).ok()?;
    Some(OutputLimit {
        hard: bytes(hard)?,
        soft: bytes(soft)?,
        soft_for: Duration::from_secs(seconds.into()),
    })
}

/// [`OutputLimits`] that all connections read and CONFIG SET changes. Who reads while they change may
/// see a mixture, for one answer.
#[derive(Debug, Default)]
pub(super) struct SharedOutputLimits {
    normal: SharedLimit,
    replica: SharedLimit,
    pubsub: SharedLimit,
}

#[derive(Debug, Default)]
struct SharedLimit {
    hard: AtomicU64,
    soft: AtomicU64,
    soft_for_s: AtomicU64,
}

impl SharedOutputLimits {
    pub(super) fn new(limits: &OutputLimits) -> SharedOutputLimits {
        let shared = SharedOutputLimits::default();
        shared.store(limits);
        shared
    }

    pub(super) fn store(&self, limits: &OutputLimits) {
        self.normal.store(&limits.normal);
        self.replica.store(&limits.replica);
        self.pubsub.store(&limits.pubsub);
    }

    pub(super) fn load(&self) -> OutputLimits {
        OutputLimits {
            normal: self.normal.load(),
            replica: self.replica.load(),
            pubsub: self.pubsub.load(),
        }
    }

    /// The limit of one class.
    #[inline]
    pub(super) fn of(&self, class: OutputClass) -> OutputLimit {
        match class {
            OutputClass::Normal => self.normal.load(),
            OutputClass::Replica => self.replica.load(),
            OutputClass::PubSub => self.pubsub.load(),
        }
    }
}

impl SharedLimit {
    fn store(&self, limit: &OutputLimit) {
        self.hard.store(limit.hard, Relaxed);
        self.soft.store(limit.soft, Relaxed);
        self.soft_for_s.store(limit.soft_for.as_secs(), Relaxed);
    }

    fn load(&self) -> OutputLimit {
        OutputLimit {
            hard: self.hard.load(Relaxed),
            soft: self.soft.load(Relaxed),
            soft_for: Duration::from_secs(self.soft_for_s.load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_redis_reads_them_and_shown_as_it_shows_them() {
        let defaults = OutputLimits::default();
        let shown = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(defaults.to_string(), shown);
        let changed = defaults.changed(b"PubSub 1mb 2kb 3 replica 1 2 3").unwrap();
        let shown = "normal 0 0 0 slave 1 2 3 pubsub 1048576 2048 3";
        assert_eq!(changed.to_string(), shown);

        let refusal = |text: &str| defaults.changed(text.as_bytes()).unwrap_err();
        assert!(refusal("normal 0 0").starts_with("Wrong number of arguments"));
        assert!(refusal("master 0 0 0").starts_with("Invalid client class"));
        for text in ["normal x 0 0", "normal 0 -1 0", "normal 0 0 1s"] {
            assert!(refusal(text).starts_with("Error in hard, soft"), "{text}");
        }
    }
}
