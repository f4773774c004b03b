//! What a long run is about.

use super::Subject;

/// A family of commands, or of what connections do with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// How it is called.
    pub name: &'static str,
    /// Of which kind its programs are.
    pub(super) subject: Subject,
    /// The families of the table that most of its requests are of.
    pub(super) rows: &'static [&'static str],
}

impl Family {
    /// All families.
    pub const ALL: &'static [Family] = &[
        of_rows("strings", &["string"]),
        of_rows("lists", &["list"]),
        of_rows("hashes", &["hash"]),
        of_rows("sets", &["set"]),
        of_rows("sorted-sets", &["sorted-set"]),
        of_rows("streams", &["stream"]),
        of_rows("bitmaps", &["bitmap"]),
        of_rows("hyperloglogs", &["hyperloglog"]),
        of_rows("geo", &["geo"]),
        of_rows("keys", &["generic"]),
        of_rows("transactions", &["transactions"]),
        of_rows("functions", &["functions"]),
        of_rows("server", &["server", "connection", "cluster"]),
        Family {
            name: "scripts",
            subject: Subject::Scripts,
            rows: &["scripting"],
        },
        Family {
            name: "pubsub",
            subject: Subject::Connections,
            rows: &["pubsub"],
        },
        Family {
            name: "blocked",
            subject: Subject::Connections,
            rows: &["list", "sorted-set", "stream"],
        },
    ];

    /// The family of this name.
    pub fn named(name: &str) -> Option<Family> {
        Family::ALL
            .iter()
            .find(|family| family.name == name)
            .copied()
    }
}

const fn of_rows(name: &'static str, rows: &'static [&'static str]) -> Family {
    Family {
        name,
        subject: Subject::Commands,
        rows,
    }
}
