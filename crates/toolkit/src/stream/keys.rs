//! The names of a stream's keys.

use larder_store::Key;

/// The time of the stream: see `common.lua`.
pub(super) const CLOCK: &str = "clock";
/// The names under which entries were added that are not to be added twice.
pub(super) const UNIQUE: &str = "unique";
/// What is to be added later, by when it is due.
pub(super) const DELAYED: &str = "delayed";
/// The bodies of what is to be added later.
pub(super) const DELAYED_BODIES: &str = "delayed:bodies";
/// The schedules, by when their next tick is due.
pub(super) const SCHEDULES: &str = "schedules";
/// The expressions of the schedules.
pub(super) const SCHEDULES_CRONS: &str = "schedules:crons";
/// The bodies of the schedules.
pub(super) const SCHEDULES_BODIES: &str = "schedules:bodies";

/// All parts of a stream but those of its groups.
pub(super) const STREAM_PARTS: [&str; 7] = [
    CLOCK,
    UNIQUE,
    DELAYED,
    DELAYED_BODIES,
    SCHEDULES,
    SCHEDULES_CRONS,
    SCHEDULES_BODIES,
];

/// Entries that wait for a retry, by when it is due.
pub(super) const RETRIES: &str = "retries";
/// What the group has given up.
pub(super) const DEAD: &str = "dead";
/// The consumers, by when they last showed that they are alive.
pub(super) const ALIVE: &str = "alive";
/// Where the group last was.
pub(super) const POSITION: &str = "position";

/// All parts of a group.
pub(super) const GROUP_PARTS: [&str; 4] = [RETRIES, DEAD, ALIVE, POSITION];

/// What the names of our own groups and consumers begin with.
pub(super) const OURS: &str = "larder:";
/// The group whose consumers are the names of the groups that were made on the stream.
pub(super) const MARKS: &str = "larder:marks";

/// The key of a part of a group.
pub(super) fn of_group(stream: &Key, part: &str, group: &str) -> Key {
    stream.part(&format!("{part}:{group}"))
}
