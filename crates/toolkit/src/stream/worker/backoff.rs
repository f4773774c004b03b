//! How long an entry waits for its retry.

use std::str::FromStr;
use std::time::Duration;

use larder_store::{Error, jitter, span};
use serde::{Deserialize, Deserializer};

use crate::{Ttl, text};

/// How long an entry waits for its retry: twice as long each time, up to a limit, and at random
/// between half of that and the whole, so that what failed together is not retried together. From a
/// second to five minutes, if it is not said. In a file of settings that is `1s to 5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::between(Duration::from_secs(1), Duration::from_secs(300))
    }
}

impl Backoff {
    /// `first` after the first delivery, and never more than `longest`.
    pub const fn between(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest }
    }

    /// The wait after this many deliveries.
    pub(super) fn after(&self, deliveries: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(deliveries.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled);
        let whole = whole.min(self.longest).min(Ttl::MAX);
        whole / 2 + jitter(whole / 2)
    }
}

impl FromStr for Backoff {
    type Err = Error;

    fn from_str(text: &str) -> Result<Backoff, Error> {
        let times = text.split_once(" to ");
        match times.map(|(first, longest)| (span::parse(first), span::parse(longest))) {
            Some((Ok(first), Ok(longest))) if first <= longest => {
                Ok(Backoff::between(first, longest))
            }
            _ => Err(Error::invalid(format_args!(
                "a backoff is two times of which the first is not the longer, as in \"1s to 5m\", not {text:?}"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Backoff, D::Error> {
        text::deserialize(deserializer)
    }
}
