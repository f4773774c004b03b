//! What is said between a cluster and its clients, as a server answers that is in none.

use crate::command::Arity::{AtLeast, Exactly};
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

const NONE: Flags = Flags::NONE;
const ADMIN: Flags = Flags::ADMIN;
const RESET: Flags = ADMIN.and(Flags::NO_SCRIPT);

#[rustfmt::skip] // A row a line.
pub(crate) const COMMANDS: &[Row] = &[
    row("ASKING", Exactly(1), Flags::FAST, "", "3.0.0"),
    row("READONLY", Exactly(1), Flags::FAST, "", "3.0.0"),
    row("READWRITE", Exactly(1), Flags::FAST, "", "3.0.0"),
    row("CLUSTER ADDSLOTS", AtLeast(3), ADMIN, SLOTS, "3.0.0"),
    row("CLUSTER ADDSLOTSRANGE", AtLeast(4), ADMIN, RANGES, "7.0.0"),
    row("CLUSTER BUMPEPOCH", Exactly(2), ADMIN, "", "3.0.0"),
    row("CLUSTER COUNT-FAILURE-REPORTS", Exactly(3), ADMIN, NODE, "3.0.0"),
    row("CLUSTER COUNTKEYSINSLOT", Exactly(3), NONE, "slot", "3.0.0"),
    row("CLUSTER DELSLOTS", AtLeast(3), ADMIN, SLOTS, "3.0.0"),
    row("CLUSTER DELSLOTSRANGE", AtLeast(4), ADMIN, RANGES, "7.0.0"),
    row("CLUSTER FAILOVER", AtLeast(2), ADMIN, "[FORCE | TAKEOVER]", "3.0.0"),
    row("CLUSTER FLUSHSLOTS", Exactly(2), ADMIN, "", "3.0.0"),
    row("CLUSTER FORGET", Exactly(3), ADMIN, NODE, "3.0.0"),
    row("CLUSTER GETKEYSINSLOT", Exactly(4), NONE, "slot count", "3.0.0"),
    row("CLUSTER HELP", Exactly(2), NONE, "", "5.0.0"),
    row("CLUSTER INFO", Exactly(2), NONE, "", "3.0.0"),
    row("CLUSTER KEYSLOT", Exactly(3), NONE, "key", "3.0.0"),
    row("CLUSTER LINKS", Exactly(2), NONE, "", "7.0.0"),
    row("CLUSTER MEET", AtLeast(4), ADMIN, "ip port [cluster-bus-port]", "3.0.0"),
    row("CLUSTER MYID", Exactly(2), NONE, "", "3.0.0"),
    row("CLUSTER MYSHARDID", Exactly(2), NONE, "", "7.2.0"),
    row("CLUSTER NODES", Exactly(2), NONE, "", "3.0.0"),
    row("CLUSTER REPLICAS", Exactly(3), ADMIN, NODE, "5.0.0"),
    row("CLUSTER REPLICATE", Exactly(3), ADMIN, NODE, "3.0.0"),
    row("CLUSTER RESET", AtLeast(2), RESET, "[HARD | SOFT]", "3.0.0"),
    row("CLUSTER SAVECONFIG", Exactly(2), ADMIN, "", "3.0.0"),
    row("CLUSTER SET-CONFIG-EPOCH", Exactly(3), ADMIN, "config-epoch", "3.0.0"),
    row("CLUSTER SETSLOT", AtLeast(4), ADMIN, SET_SLOT, "3.0.0"),
    row("CLUSTER SHARDS", Exactly(2), NONE, "", "7.0.0"),
    row("CLUSTER SLAVES", Exactly(3), ADMIN, NODE, "3.0.0"),
    row("CLUSTER SLOTS", Exactly(2), NONE, "", "3.0.0"),
    // Those of Valkey.
    row("CLUSTER CANCELSLOTMIGRATIONS", Exactly(2), ADMIN, "", "9.0.0"),
    row("CLUSTER FLUSHSLOT", AtLeast(3), ADMIN, "slot [ASYNC | SYNC]", "9.0.0"),
    row("CLUSTER GETSLOTMIGRATIONS", Exactly(2), ADMIN, "", "9.0.0"),
    row("CLUSTER MIGRATESLOTS", AtLeast(4), ADMIN, MIGRATE_SLOTS, "9.0.0"),
    row("CLUSTER SLOT-STATS", AtLeast(4), NONE, SLOT_STATS, "8.0.0"),
    row("CLUSTER SYNCSLOTS", AtLeast(3), ADMIN, "word [word ...]", "9.0.0"),
    row("CLUSTERSCAN", AtLeast(2), NONE, SCAN, "9.1.0"),
];

const NODE: &str = "node-id";
const SLOTS: &str = "slot [slot ...]";
const RANGES: &str = "start-slot end-slot [start-slot end-slot ...]";
const SET_SLOT: &str = "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>";
const MIGRATE_SLOTS: &str = "SLOTSRANGE start-slot end-slot [start-slot end-slot ...] NODE node-id";
const SLOT_STATS: &str =
    "<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>";
const SCAN: &str = "cursor [MATCH pattern] [COUNT count] [TYPE type] [SLOT slot]";

const fn row(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    syntax: &'static str,
    since: &'static str,
) -> Row {
    Row {
        name,
        run: refuse,
        arity,
        keys: KeySpec::None,
        flags,
        syntax,
        summary: "Refused: there is no cluster.",
        complexity: "O(1)",
        since,
    }
}

fn refuse(_: &mut Call<'_, '_>) -> Result<()> {
    Err(Error::text(
        "ERR This instance has cluster support disabled",
    ))
}
