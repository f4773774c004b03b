//! What one node of a cluster knows of all.

use std::ops::RangeInclusive;

/// A line of `CLUSTER NODES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) port: u16,
    /// The id of the master; a master has none.
    pub(crate) master: Option<String>,
    pub(crate) slots: Vec<RangeInclusive<u16>>,
    /// Whether nothing is wrong with it, as far as the asked node can tell.
    pub(crate) is_well: bool,
    /// Whether a slot is on its way from or to it.
    pub(crate) is_migrating: bool,
}

impl Seen {
    /// Reads `CLUSTER NODES`. Nothing if a line can't be read, as that of a node whose address is not
    /// known yet.
    pub(crate) fn read_all(nodes: &str) -> Option<Vec<Seen>> {
        nodes.lines().map(Seen::read).collect()
    }

    fn read(line: &str) -> Option<Seen> {
        // id, address, flags, master, ping, pong, epoch, link, slots.
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, address, flags, master, _, _, _, link, slots @ ..] = &words[..] else {
            return None;
        };
        let (_, port) = address.split('@').next()?.rsplit_once(':')?;
        let flags: Vec<&str> = flags.split(',').collect();
        let is_ill = |flag: &&str| ["fail", "fail?", "handshake", "noaddr"].contains(flag);
        let (open, owned): (Vec<&str>, Vec<&str>) =
            slots.iter().partition(|slot| slot.starts_with('['));
        Some(Seen {
            id: (*id).to_owned(),
            port: port.parse().ok()?,
            master: (*master != "-").then(|| (*master).to_owned()),
            slots: owned
                .iter()
                .map(|slots| range(slots))
                .collect::<Option<_>>()?,
            is_well: !flags.iter().any(is_ill) && *link == "connected",
            is_migrating: !open.is_empty(),
        })
    }

    pub(crate) fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

/// `5` or `0-5460`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
