//! Replication, as a server answers that has none: it is a master without replicas.
//!
//! What only asks is answered. What would have this server follow another one, or another one follow
//! it, is refused at once: nobody waits for data that never comes.

use crate::args::parse_int;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};
use crate::keyspace::waiting::{Nothing, Wait};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);

/// The commands that wait for replicas.
pub(crate) const WAITS: &[Row] = &[
    Row {
        name: "WAIT",
        run: wait,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: Flags::BLOCKING,
        syntax: "numreplicas timeout",
        summary: "Waits until so many replicas have what the connection has written: there are none.",
        complexity: "O(1)",
        since: "3.0.0",
    },
    Row {
        name: "WAITAOF",
        run: wait_aof,
        arity: Arity::Exactly(4),
        keys: KeySpec::None,
        flags: Flags::BLOCKING,
        syntax: "numlocal numreplicas timeout",
        summary: "Waits until what the connection has written is on the disks of so many servers: it is \
                  on none.",
        complexity: "O(1)",
        since: "7.2.0",
    },
];

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "ROLE",
        run: role,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: Flags::NO_SCRIPT.and(Flags::FAST),
        syntax: "",
        summary: "Says that the server is a master, and has no replicas.",
        complexity: "O(1)",
        since: "2.8.12",
    },
    Row {
        name: "REPLICAOF",
        run: replica_of,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "<host port | NO ONE>",
        summary: "Has the server be a master, which it is: NO ONE. To follow another one is refused.",
        complexity: "O(1)",
        since: "5.0.0",
    },
    Row {
        name: "SLAVEOF",
        run: replica_of,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "<host port | NO ONE>",
        summary: "The same as REPLICAOF.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "FAILOVER",
        run: failover,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
        summary: "Refused: there is no replica to take over.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "PSYNC",
        run: refuse_data,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: ADMIN.and(Flags::NO_MULTI),
        syntax: "replicationid offset",
        summary: "Refused: a replica would ask for the data.",
        complexity: "O(1)",
        since: "2.8.0",
    },
    Row {
        name: "SYNC",
        run: refuse_data,
        arity: Arity::Exactly(1),
        keys: KeySpec::None,
        flags: ADMIN.and(Flags::NO_MULTI),
        syntax: "",
        summary: "Refused: a replica would ask for the data.",
        complexity: "O(1)",
        since: "1.0.0",
    },
    Row {
        name: "REPLCONF",
        run: refuse,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: ADMIN,
        syntax: "[option value [option value ...]]",
        summary: "Refused: a replica would say what it can.",
        complexity: "O(1)",
        since: "3.0.0",
    },
];

fn role(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply.array(3);
    call.reply.bulk(b"master");
    call.reply.int(0);
    call.reply.array(0);
    Ok(())
}

// --- waits ------------------------------------------------------------------------------------

fn wait(call: &mut Call<'_, '_>) -> Result<()> {
    let replicas = call.args.int()?;
    let timeout_us = call.timeout_ms()?;
    acknowledge(call, replicas > 0, timeout_us, Nothing::Count);
    Ok(())
}

fn wait_aof(call: &mut Call<'_, '_>) -> Result<()> {
    let local = call.args.int()?;
    if !(0..=1).contains(&local) {
        return Err(Error::text(
            "ERR value is out of range, value must between 0 and 1",
        ));
    }
    let replicas = call.args.natural()?;
    let timeout_us = call.timeout_ms()?;
    if local > 0 {
        return Err(Error::text(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    acknowledge(call, replicas > 0, timeout_us, Nothing::Counts);
    Ok(())
}

/// Answers that no replica has acknowledged anything: when the time is over, if one is wanted.
fn acknowledge(
    call: &mut Call<'_, '_>,
    is_wanted: bool,
    timeout_us: Option<u64>,
    nothing: Nothing,
) {
    match is_wanted {
        true => call.wait_for(Wait::for_time(timeout_us, nothing)),
        false => nothing.write(call.reply),
    }
}

// --- what changes who follows whom ------------------------------------------------------------

fn replica_of(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.option("NO") && call.args.option("ONE") {
        call.reply.ok();
        return Ok(());
    }
    let port = call.request().get(2).and_then(parse_int);
    if !port.is_some_and(|port| (0..=65535).contains(&port)) {
        return Err(Error::text("ERR Invalid master port"));
    }
    refuse(call)
}

fn failover(call: &mut Call<'_, '_>) -> Result<()> {
    if call.args.len() == 1 && call.args.option("ABORT") {
        return Err(Error::text("ERR No failover in progress."));
    }
    let (mut has_timeout, mut has_target, mut is_forced) = (false, false, false);
    while !call.args.is_empty() {
        let left = call.args.len();
        match () {
            () if left > 1 && !has_timeout && call.args.option("TIMEOUT") => {
                has_timeout = true;
                if call.args.int()? <= 0 {
                    return Err(Error::text("ERR FAILOVER timeout must be greater than 0"));
                }
            }
            () if left > 2 && !has_target && call.args.option("TO") => {
                has_target = true;
                call.args.bytes()?;
                call.args.int()?;
            }
            () if !is_forced && call.args.option("FORCE") => is_forced = true,
            () => return Err(Error::Syntax),
        }
    }
    Err(Error::text("ERR FAILOVER requires connected replicas."))
}

fn refuse(_: &mut Call<'_, '_>) -> Result<()> {
    Err(Error::text(
        "ERR Larder does not replicate: it has no replicas, and is none",
    ))
}

/// Refuses the data. A Redis that was told to follow this server asks again in a second then; after any
/// other code it would at once: Redis 7.0 two thousand times a second.
fn refuse_data(_: &mut Call<'_, '_>) -> Result<()> {
    Err(Error::text(
        "NOMASTERLINK Larder does not replicate: it has no replicas, and is none",
    ))
}
