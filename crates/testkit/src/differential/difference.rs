//! Where the sides are not the same, as a text for people.

use super::Words;
use super::events::Event;
use super::values;
use crate::server::ServerKind;
use crate::transcript::target::Arrived;

/// Where the sides are not the same.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// What kind of difference it is, as far as that can be seen.
    pub(super) class: String,
    /// Whether it is meant. What comes after it can't be compared.
    pub(super) is_meant: bool,
    /// The request, and both answers.
    pub(super) text: String,
}

/// What is known of those who wait and may be served by a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// Whether databases have taken each other's places.
    pub(super) by_swap: bool,
    /// Whether somebody has waited for the entries of a group.
    pub(super) in_group: bool,
}

impl Difference {
    /// Two answers to a request that are not the same.
    pub(super) fn between(
        request: &Words,
        ours: &Arrived,
        theirs: &Arrived,
        is_meant: bool,
    ) -> Difference {
        let name = String::from_utf8_lossy(&request[0]).to_uppercase();
        let nested = match name.starts_with("EVAL") {
            true => request
                .get(1)
                .map_or(String::new(), |script| script_class(script)),
            false => String::new(),
        };
        let request = values::shown(request);
        Difference {
            class: format!("{name} {nested} {} {}", kind(ours), kind(theirs)),
            is_meant,
            text: format!(
                "  at {request}\n  ours   {}\n  theirs {}\n",
                text(ours),
                text(theirs)
            ),
        }
    }

    /// What a connection was told besides its answers is not the same. `what` says of what kind it was.
    pub(super) fn in_what_was_told(
        what: &str,
        ours: &[Vec<u8>],
        theirs: &[Vec<u8>],
    ) -> Option<Difference> {
        let shown = |side: &[Vec<u8>]| -> Vec<String> {
            let all = side.iter();
            all.map(|bytes| bytes.escape_ascii().to_string()).collect()
        };
        (ours != theirs).then(|| Difference {
            class: format!("{what} {} {}", ours.len(), theirs.len()),
            is_meant: false,
            text: format!(
                "  {what} by us   {:?}\n  {what} by them {:?}\n",
                shown(ours),
                shown(theirs)
            ),
        })
    }

    /// The keyspace events of a step are not the same.
    pub(super) fn in_events(
        request: &Words,
        kind: ServerKind,
        served: Served,
        [ours, theirs]: [Vec<Event>; 2],
    ) -> Option<Difference> {
        let told = |events: Vec<Event>| -> Vec<String> {
            let mut told: Vec<String> = events
                .iter()
                .filter_map(|event| event_text(event, kind))
                .collect();
            // Who waits for the keys of a database is served in any order when it takes another's place.
            if served.by_swap {
                told.sort();
            }
            told
        };
        let (ours, theirs) = (told(ours), told(theirs));
        // Before Redis 7.2 who waits in a group looks for its consumer only when there is an entry for it.
        let is_no_consumer = |text: &&String| !text.contains("xgroup-createconsumer");
        let is_meant = kind == ServerKind::Redis
            && served.in_group
            && ours.iter().filter(is_no_consumer).eq(&theirs);
        let name = String::from_utf8_lossy(&request[0]).to_uppercase();
        (ours != theirs).then(|| Difference {
            class: format!("events {name} {} {}", ours.len(), theirs.len()),
            is_meant,
            text: format!(
                "  at {}\n  events of ours   {ours:?}\n  events of theirs {theirs:?}\n",
                values::shown(request)
            ),
        })
    }
}

/// What an event says, if it counts.
fn event_text([channel, payload]: &Event, kind: ServerKind) -> Option<String> {
    let text = format!("{} {}", channel.escape_ascii(), payload.escape_ascii());
    match kind {
        // When a key is removed that has expired is the business of each side.
        ServerKind::Redis | ServerKind::Redis8
            if channel.ends_with(b":expired") || payload == b"expired" =>
        {
            None
        }
        ServerKind::Redis | ServerKind::Redis8 => Some(text),
        // Valkey says so as well of a key or a field whose life is set to a time that is over.
        ServerKind::Valkey => Some(
            text.replace(":expired ", ":del ")
                .replace(" expired", " del")
                .replace(":hexpired ", ":hdel ")
                .replace(" hexpired", " hdel"),
        ),
    }
}

/// A script that stands in the table is a class of its own; those that are made at random are not.
fn script_class(script: &[u8]) -> String {
    match script.len() < 300 && !script.contains(&b'\n') {
        true => String::from_utf8_lossy(script).into_owned(),
        false => String::new(),
    }
}

/// What kind of answer it is: the first words of a refusal, the sign of any other.
fn kind(arrived: &Arrived) -> String {
    let bytes = match arrived {
        Arrived::Bytes(bytes) => bytes,
        other => return format!("{other:?}"),
    };
    let len = match bytes.first() {
        Some(b'-') => 16,
        _ => 1,
    };
    String::from_utf8_lossy(bytes.get(..len).unwrap_or(bytes)).into_owned()
}

fn text(arrived: &Arrived) -> String {
    match arrived {
        Arrived::Bytes(bytes) => {
            let text: String = bytes
                .escape_ascii()
                .to_string()
                .chars()
                .take(1500)
                .collect();
            text.replace("\\r\\n", " ")
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_served_in_any_order_when_databases_take_each_others_places() {
        let event = |key: &str| [b"__keyevent@0__:lpop".to_vec(), key.as_bytes().to_vec()];
        let is_found = |by_swap| {
            let events = [["l1", "l2"], ["l2", "l1"]].map(|keys| keys.map(event).to_vec());
            let served = Served {
                by_swap,
                in_group: false,
            };
            Difference::in_events(&vec![b"EXEC".to_vec()], ServerKind::Redis8, served, events)
                .is_some()
        };
        assert!(is_found(false));
        assert!(!is_found(true));
    }

    #[test]
    fn a_consumer_is_made_by_whoever_waits_again_since_redis_7_2() {
        let event = |name: &str| [name.as_bytes().to_vec(), b"x1".to_vec()];
        let is_meant = |kind, in_group| {
            let by_swap = false;
            let ours = [
                "__keyevent@0__:expire",
                "__keyevent@0__:xgroup-createconsumer",
            ];
            let events = [ours.map(event).to_vec(), vec![event(ours[0])]];
            let request = vec![b"EXPIRE".to_vec()];
            let served = Served { by_swap, in_group };
            let difference = Difference::in_events(&request, kind, served, events);
            difference.is_some_and(|difference| difference.is_meant)
        };
        assert!(is_meant(ServerKind::Redis, true));
        assert!(!is_meant(ServerKind::Redis, false));
        assert!(!is_meant(ServerKind::Redis8, true));
    }
}
