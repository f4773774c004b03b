//! What can be configured, at the start or by CONFIG SET.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Duration;

use super::debug::DebugAccess;
use super::keeper::Outside;
use super::output_limits::{OutputClass, OutputLimit, OutputLimits, SharedOutputLimits};
use crate::engine::Engine;
use crate::sync::RwLock;

/// What can be configured, at the start or by CONFIG SET. CONFIG's names for it, and what values
/// are allowed, stand in [`super::parameters`].
#[derive(Debug)]
pub(crate) struct Config {
    password: RwLock<Option<Box<[u8]>>>,
    pub(super) protected_mode: AtomicBool,
    pub(crate) acl_log_len_max: AtomicU64,
    /// Whether new users may listen to all channels.
    pub(super) acl_all_channels: AtomicBool,
    pub(super) clients_max: AtomicU64,
    pub(super) idle_timeout_s: AtomicU64,
    /// 0 for never.
    pub(super) keepalive_s: AtomicU64,
    pub(super) bulk_len_max: AtomicU64,
    pub(super) query_buffer_max: AtomicU64,
    pub(super) output_limits: SharedOutputLimits,
    clients_memory: AtomicI64,
    pub(super) script_busy_ms: AtomicU64,
    /// Whether a script that runs for too long holds up everybody, and not only who needs its keys.
    pub(crate) script_busy_for_all: AtomicBool,
    pub(super) script_memory_max: AtomicU64,
    pub(super) tracked_keys_max: AtomicU64,
    pub(super) list_compress_depth: AtomicU64,
    /// Less than 0 for never.
    pub(super) slowlog_slower_than_us: AtomicI64,
    pub(super) slowlog_len_max: AtomicU64,
    /// From how many bytes on a request is large; none is, if there are no so large ones.
    pub(super) large_request_bytes: AtomicU64,
    pub(super) large_requests_max: AtomicU64,
    /// The same of a reply.
    pub(super) large_reply_bytes: AtomicU64,
    pub(super) large_replies_max: AtomicU64,
    /// 0 for never.
    pub(super) latency_threshold_ms: AtomicU64,
    pub(super) latency_tracking: AtomicBool,
    /// Which percentiles INFO latencystats shows.
    pub(super) percentiles: RwLock<Vec<f64>>,
    /// Whether expired keys leave memory by themselves: DEBUG SET-ACTIVE-EXPIRE.
    pub(super) active_expire: AtomicBool,
    /// Whether RESTORE leaves checksums out of account: DEBUG SET-SKIP-CHECKSUM-VALIDATION.
    pub(super) skips_checksums: AtomicBool,
    /// Whether nothing happens by itself: DEBUG PAUSE-CRON.
    pub(crate) cron_paused: AtomicBool,
    /// Whether scripts may call DEBUG: DEBUG SET-DISABLE-DENY-SCRIPTS.
    pub(crate) scripts_may_debug: AtomicBool,
    host: RwLock<Host>,
    pub(crate) outside: Outside,
}

/// What the process around the engine says of itself, for INFO and CONFIG GET. All of it may be
/// unknown.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The TCP port that it listens on, or 0.
    pub tcp_port: u16,
    /// What it goes by of the parameters that are not the engine's own, if that is not their default:
    /// `port`, `bind`, and their kin.
    pub parameters: Vec<(&'static str, String)>,
    /// Who may use DEBUG.
    pub debug_access: DebugAccess,
    /// Has the thread do nothing for so long, for DEBUG SLEEP.
    pub sleep: Option<fn(Duration)>,
    /// What INFO server says of it and its system, in Redis's words: names and values.
    pub facts: Vec<(&'static str, String)>,
    /// How many bytes of memory the machine has.
    pub memory_bytes: Option<u64>,
    /// How many bytes of memory the process holds.
    pub resident_bytes: Option<fn() -> Option<u64>>,
    /// Gives the system back what the allocator keeps of the calling thread's memory, for MEMORY PURGE.
    pub purge: Option<fn()>,
    /// How long the process has kept processors busy.
    pub cpu_time: Option<fn() -> Option<CpuTime>>,
}

/// How long a process has kept processors busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the system, on its behalf.
    pub system: Duration,
    /// In its own code.
    pub user: Duration,
}

/// How many bytes all clients together may take: `maxmemory-clients`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientsMemory {
    /// As many as there are.
    #[default]
    Unlimited,
    /// This many.
    Bytes(u64),
    /// This many hundredths of `maxmemory`, if there is a `maxmemory`.
    Percent(u8),
}

impl Default for Config {
    fn default() -> Config {
        Config {
            password: RwLock::default(),
            protected_mode: AtomicBool::new(true),
            acl_log_len_max: AtomicU64::new(128),
            acl_all_channels: AtomicBool::new(false),
            clients_max: AtomicU64::new(10_000),
            idle_timeout_s: AtomicU64::new(0),
            keepalive_s: AtomicU64::new(300),
            bulk_len_max: AtomicU64::new(512 << 20),
            query_buffer_max: AtomicU64::new(1 << 30),
            output_limits: SharedOutputLimits::new(&OutputLimits::default()),
            clients_memory: AtomicI64::new(0),
            script_busy_ms: AtomicU64::new(5000),
            script_busy_for_all: AtomicBool::new(false),
            script_memory_max: AtomicU64::new(256 << 20),
            tracked_keys_max: AtomicU64::new(1_000_000),
            list_compress_depth: AtomicU64::new(0),
            slowlog_slower_than_us: AtomicI64::new(10_000),
            slowlog_len_max: AtomicU64::new(128),
            large_request_bytes: AtomicU64::new(1 << 20),
            large_requests_max: AtomicU64::new(128),
            large_reply_bytes: AtomicU64::new(1 << 20),
            large_replies_max: AtomicU64::new(128),
            latency_threshold_ms: AtomicU64::new(0),
            latency_tracking: AtomicBool::new(true),
            percentiles: RwLock::new(vec![50.0, 99.0, 99.9]),
            active_expire: AtomicBool::new(true),
            skips_checksums: AtomicBool::new(false),
            cron_paused: AtomicBool::new(false),
            scripts_may_debug: AtomicBool::new(false),
            host: RwLock::default(),
            outside: Outside::default(),
        }
    }
}

impl Config {
    /// Whether new users may listen to all channels: `acl-pubsub-default`.
    pub(crate) fn has_all_channels(&self) -> bool {
        self.acl_all_channels.load(Relaxed)
    }

    /// The password of the default user as it was configured last, or nothing.
    pub(super) fn password(&self) -> Vec<u8> {
        let password = self.password.read();
        password.as_deref().unwrap_or_default().to_vec()
    }

    /// The longest string.
    pub(crate) fn bulk_len_max(&self) -> u64 {
        self.bulk_len_max.load(Relaxed)
    }

    /// After how many milliseconds a script is one that keeps others waiting for too long, or 0
    /// for never.
    #[cfg(feature = "lua")]
    pub(crate) fn script_busy_ms(&self) -> u64 {
        self.script_busy_ms.load(Relaxed)
    }

    /// How many bytes the values of one script may take.
    #[cfg(feature = "lua")]
    pub(crate) fn script_memory_max(&self) -> usize {
        usize::try_from(self.script_memory_max.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// How many keys that clients have read are remembered for them, or 0 for all.
    pub(crate) fn tracked_keys_max(&self) -> usize {
        usize::try_from(self.tracked_keys_max.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// How long a command may take and not be in the slow log, if there is one.
    pub(crate) fn slowlog_slower_than_us(&self) -> Option<u64> {
        u64::try_from(self.slowlog_slower_than_us.load(Relaxed)).ok()
    }

    /// How many commands the slow log keeps.
    pub(crate) fn slowlog_len_max(&self) -> usize {
        usize::try_from(self.slowlog_len_max.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// Whether a request or a reply of so many bytes is a large one.
    #[inline]
    pub(crate) fn is_large(&self, [request, reply]: [u64; 2]) -> bool {
        request >= self.large_request_bytes.load(Relaxed)
            || reply >= self.large_reply_bytes.load(Relaxed)
    }

    /// From how many bytes on a request, and a reply, is a large one, and how many of them are kept.
    pub(crate) fn large(&self) -> [(u64, usize); 2] {
        let kept = |number: &AtomicU64| usize::try_from(number.load(Relaxed)).unwrap_or(usize::MAX);
        [
            (
                self.large_request_bytes.load(Relaxed),
                kept(&self.large_requests_max),
            ),
            (
                self.large_reply_bytes.load(Relaxed),
                kept(&self.large_replies_max),
            ),
        ]
    }

    /// From how many milliseconds LATENCY notes what a command took, or 0 for never.
    pub(crate) fn latency_threshold_ms(&self) -> u64 {
        self.latency_threshold_ms.load(Relaxed)
    }

    /// Whether it is kept how the times of commands are distributed.
    pub(crate) fn latency_tracking(&self) -> bool {
        self.latency_tracking.load(Relaxed)
    }

    /// Which percentiles INFO latencystats shows.
    pub(super) fn percentiles(&self) -> Vec<f64> {
        self.percentiles.read().clone()
    }

    /// Whether expired keys leave memory by themselves.
    pub(crate) fn expires_actively(&self) -> bool {
        self.active_expire.load(Relaxed)
    }

    /// Whether RESTORE leaves checksums out of account.
    pub(crate) fn skips_checksums(&self) -> bool {
        self.skips_checksums.load(Relaxed)
    }

    /// Who may use DEBUG.
    pub(super) fn debug_access(&self) -> DebugAccess {
        self.host.read().debug_access
    }

    /// The value of a parameter that the process around the engine goes by.
    pub(super) fn hosted(&self, name: &str, default: &str) -> String {
        if let Some(keeper) = self.outside.keeper_of(name) {
            return keeper.get(name);
        }
        let host = self.host.read();
        if name == "enable-debug-command" {
            return host.debug_access.name().to_owned();
        }
        let mut parameters = host.parameters.iter();
        let found = parameters.find(|(known, _)| *known == name);
        found.map_or_else(|| default.to_owned(), |(_, value)| value.clone())
    }

    pub(super) fn host(&self) -> Host {
        self.host.read().clone()
    }

    pub(super) fn clients_memory(&self) -> ClientsMemory {
        match self.clients_memory.load(Relaxed) {
            0 => ClientsMemory::Unlimited,
            bytes @ 1.. => ClientsMemory::Bytes(bytes.unsigned_abs()),
            percent => {
                let percent = u8::try_from(percent.unsigned_abs());
                ClientsMemory::Percent(percent.unwrap_or(100))
            }
        }
    }

    pub(super) fn set_clients_memory(&self, memory: ClientsMemory) {
        // As Redis keeps it: hundredths are negative.
        let number = match memory {
            ClientsMemory::Unlimited => 0,
            ClientsMemory::Bytes(bytes) => i64::try_from(bytes).unwrap_or(i64::MAX),
            ClientsMemory::Percent(percent) => -i64::from(percent),
        };
        self.clients_memory.store(number, Relaxed);
    }
}

/// What whoever has the sockets asks the configuration, and tells it.
impl Engine {
    /// Has connections authenticate with this password, or with none.
    pub fn set_password(&self, password: Option<&str>) {
        self.require_password(password.map(str::as_bytes));
    }

    /// Has the default user come in with this password, or with none: `requirepass`.
    pub(super) fn require_password(&self, password: Option<&[u8]>) {
        *self.config.password.write() = password.map(Box::from);
        self.set_default_password(password);
    }

    /// Whether whoever comes from another machine is to be turned away, since there is no password:
    /// `protected-mode`.
    pub fn is_protected(&self) -> bool {
        self.config.protected_mode.load(Relaxed) && self.acl.is_open()
    }

    /// Has those who come from other machines turned away as long as there is no password, or not.
    pub fn set_protected_mode(&self, is_on: bool) {
        self.config.protected_mode.store(is_on, Relaxed);
    }

    /// How many connections there may be at once: `maxclients`.
    pub fn clients_max(&self) -> usize {
        usize::try_from(self.config.clients_max.load(Relaxed)).unwrap_or(usize::MAX)
    }

    /// Allows this many connections at once.
    pub fn set_clients_max(&self, clients_max: usize) {
        self.config.clients_max.store(clients_max as u64, Relaxed);
    }

    /// After how long an idle connection is to be closed, if ever: `timeout`.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let seconds = self.config.idle_timeout_s.load(Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Has idle connections closed after this time, or never. Parts of a second count as one.
    pub fn set_idle_timeout(&self, timeout: Option<Duration>) {
        self.config.idle_timeout_s.store(whole_s(timeout), Relaxed);
    }

    /// How long a new connection may be silent before the system probes whether the other end is there,
    /// if it does: `tcp-keepalive`.
    pub fn tcp_keepalive(&self) -> Option<Duration> {
        let seconds = self.config.keepalive_s.load(Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Has new connections probed after this time, or never. Parts of a second count as one.
    pub fn set_tcp_keepalive(&self, silence: Option<Duration>) {
        self.config.keepalive_s.store(whole_s(silence), Relaxed);
    }

    /// The longest word that a request may have: `proto-max-bulk-len`.
    pub fn bulk_len_max(&self) -> usize {
        usize::try_from(self.config.bulk_len_max()).unwrap_or(usize::MAX)
    }

    /// Allows words of this many bytes.
    pub fn set_bulk_len_max(&self, bulk_len_max: usize) {
        self.config.bulk_len_max.store(bulk_len_max as u64, Relaxed);
    }

    /// How many bytes of requests may be held for one connection: `client-query-buffer-limit`.
    pub fn query_buffer_max(&self) -> usize {
        let bytes = self.config.query_buffer_max.load(Relaxed);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Allows this many bytes of requests for each connection.
    pub fn set_query_buffer_max(&self, bytes: usize) {
        self.config.query_buffer_max.store(bytes as u64, Relaxed);
    }

    /// How much may wait for a client of this class: `client-output-buffer-limit`.
    #[inline]
    pub fn output_limit(&self, class: OutputClass) -> OutputLimit {
        self.config.output_limits.of(class)
    }

    /// Allows this much to wait for clients.
    pub fn set_output_limits(&self, limits: &OutputLimits) {
        self.config.output_limits.store(limits);
    }

    /// How many bytes all connections together may hold, if there is a limit: `maxmemory-clients`.
    #[inline]
    pub fn clients_memory_max(&self) -> Option<u64> {
        match self.config.clients_memory() {
            ClientsMemory::Unlimited => None,
            ClientsMemory::Bytes(bytes) => Some(bytes),
            ClientsMemory::Percent(percent) => {
                let max = Some(self.max_memory()).filter(|max| *max > 0)?;
                Some((u128::from(max) * u128::from(percent) / 100) as u64)
            }
        }
    }

    /// Allows all connections together to hold this much.
    pub fn set_clients_memory(&self, memory: ClientsMemory) {
        self.config.set_clients_memory(memory);
    }

    /// Says what process the engine is in.
    pub fn set_host(&self, host: Host) {
        *self.config.host.write() = host;
    }
}

/// A time in whole seconds, of which a part counts as one; 0 for none.
fn whole_s(time: Option<Duration>) -> u64 {
    let ceil = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    time.map_or(0, ceil)
}
