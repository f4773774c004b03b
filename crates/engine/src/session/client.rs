//! The connections that there are, as CLIENT LIST shows them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Weak};
use std::task::Waker;

use super::Session;
use super::transaction::Watching;
use crate::acl::Login;
use crate::command::Row;
use crate::commands;
use crate::engine::{Engine, Now};
use crate::keyspace::tracking::Tracker;
use crate::keyspace::waiting::Waiter;
use crate::keyspace::watch::Watch;
use crate::keyspace::{Manner, SharedManner};
use crate::pubsub::{Mailbox, Topic};
use crate::sync::{Mutex, MutexGuard};

/// Up to how many unwritten bytes CLIENT LIST calls a buffer, and no list: Redis's
/// `PROTO_REPLY_CHUNK_BYTES`.
const REPLY_BUFFER: usize = 16 * 1024;

/// What is known of a connection when it is made.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// The address of the other end, or the path of a Unix socket.
    pub address: String,
    /// The address of this end.
    pub local_address: String,
    /// The descriptor of the socket, if it has one.
    pub descriptor: Option<i32>,
    /// When the connection was made, in Unix microseconds.
    pub since_us: u64,
}

impl ClientInfo {
    /// Whether the other end came by a Unix socket.
    fn is_local(&self) -> bool {
        self.address.starts_with('/')
    }

    /// Whether the other end is on this machine, as far as its address says so.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        let beginnings = ["127.", "[::1]", "[::ffff:127."];
        let is_loopback = |beginning| self.address.starts_with(beginning);
        self.is_local() || beginnings.into_iter().any(is_loopback)
    }
}

/// What a connection holds between its socket and the engine, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// What has been read and not been answered.
    pub unanswered: usize,
    /// What the buffer for reading takes.
    pub input_capacity: usize,
    /// The answers in the buffer for answers that have not been written.
    pub unwritten: usize,
    /// What the buffer for answers takes.
    pub output_capacity: usize,
    /// How many chunks of answers wait in front of that buffer.
    pub chunks: usize,
    /// What those chunks take.
    pub chunk_bytes: usize,
}

/// A connection as others see it.
///
/// What changes with every request is held in atomics: a request stores a few words, and who lists
/// clients may see a mixture of two requests.
#[derive(Debug)]
pub struct Client {
    id: u64,
    info: ClientInfo,
    names: Mutex<Names>,
    login: Login,
    db: AtomicUsize,
    last_seen_us: AtomicU64,
    /// The number of the row that was asked for last, and 1; or 0.
    last_command: AtomicUsize,
    doing: Doing,
    buffers: Held,
    /// How many bytes of it the engine's account of memory has.
    accounted: AtomicUsize,
    is_kept: AtomicBool,
    manner: SharedManner,
    can_be_redirected: AtomicBool,
    is_killed: AtomicBool,
    killer: Mutex<Option<Waker>>,
    waiter: Mutex<Weak<Waiter>>,
    mailbox: Arc<Mailbox>,
    /// How it hears of changes of what it has read, if it does.
    tracker: Mutex<Weak<Tracker>>,
    /// Whether another connection has had it listen in its place.
    is_listener: AtomicBool,
    is_gone: AtomicBool,
    /// Whether a key that it watches has changed.
    watch: Mutex<Weak<Watch>>,
}

/// What a connection is in the middle of.
#[derive(Debug, Default)]
struct Doing {
    channels: AtomicUsize,
    patterns: AtomicUsize,
    shard_channels: AtomicUsize,
    watched: AtomicUsize,
    /// How many requests are queued, and 1; or 0 outside of a transaction.
    queued: AtomicUsize,
    /// How many bytes the queued requests take.
    queued_bytes: AtomicUsize,
    /// How many bytes it takes what the connection watches, listens to and tracks.
    interest_bytes: AtomicUsize,
    is_resp3: AtomicBool,
    is_monitor: AtomicBool,
}

/// [`Buffers`], as they were shown last.
#[derive(Debug, Default)]
struct Held {
    unanswered: AtomicUsize,
    input_capacity: AtomicUsize,
    unwritten: AtomicUsize,
    output_capacity: AtomicUsize,
    chunks: AtomicUsize,
    chunk_bytes: AtomicUsize,
}

/// What kind of client a connection is, as CLIENT LIST TYPE knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    Normal,
    PubSub,
    /// Replicas and masters: there are none.
    Replication,
}

/// What the client says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
}

impl Held {
    fn store(&self, buffers: Buffers) {
        self.unanswered.store(buffers.unanswered, Relaxed);
        self.input_capacity.store(buffers.input_capacity, Relaxed);
        self.unwritten.store(buffers.unwritten, Relaxed);
        self.output_capacity.store(buffers.output_capacity, Relaxed);
        self.chunks.store(buffers.chunks, Relaxed);
        self.chunk_bytes.store(buffers.chunk_bytes, Relaxed);
    }

    fn load(&self) -> Buffers {
        Buffers {
            unanswered: self.unanswered.load(Relaxed),
            input_capacity: self.input_capacity.load(Relaxed),
            unwritten: self.unwritten.load(Relaxed),
            output_capacity: self.output_capacity.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            chunk_bytes: self.chunk_bytes.load(Relaxed),
        }
    }
}

impl Client {
    fn new(id: u64, info: ClientInfo, login: Login, mailbox: &Arc<Mailbox>) -> Client {
        Client {
            id,
            last_seen_us: AtomicU64::new(info.since_us),
            info,
            login,
            names: Mutex::default(),
            db: AtomicUsize::new(0),
            last_command: AtomicUsize::new(0),
            doing: Doing::default(),
            buffers: Held::default(),
            accounted: AtomicUsize::new(0),
            is_kept: AtomicBool::new(false),
            manner: SharedManner::default(),
            can_be_redirected: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            killer: Mutex::new(None),
            waiter: Mutex::new(Weak::new()),
            mailbox: Arc::clone(mailbox),
            tracker: Mutex::new(Weak::new()),
            is_listener: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            watch: Mutex::new(Weak::new()),
        }
    }

    /// The number that `CLIENT ID` answers.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// When the client last sent a request, in Unix microseconds.
    pub fn last_seen_us(&self) -> u64 {
        self.last_seen_us.load(Relaxed)
    }

    /// Whether the connection is to be closed now: `CLIENT KILL`.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Acquire)
    }

    /// Has `waker` woken when the connection is killed.
    pub fn on_kill(&self, waker: &Waker) {
        *self.killer.lock() = Some(waker.clone());
    }

    /// Has the connection closed, after it has answered what it has read.
    pub fn kill(&self) {
        self.is_killed.store(true, Release);
        if let Some(waker) = self.killer.lock().take() {
            waker.wake();
        }
    }

    /// Shows others what the connection holds.
    pub fn show_buffers(&self, buffers: Buffers) {
        self.buffers.store(buffers);
    }

    /// Whether the connection has memory for requests or answers, as it showed last.
    pub fn has_buffers(&self) -> bool {
        let buffers = self.buffers.load();
        buffers.input_capacity + buffers.output_capacity > 0
    }

    /// How many bytes the connection takes, as far as others can know it.
    pub fn bytes(&self) -> usize {
        let buffers = self.buffers.load();
        let queued = self.doing.queued_bytes.load(Relaxed);
        let interest = self.doing.interest_bytes.load(Relaxed);
        let (input, output) = (buffers.input_capacity, buffers.output_capacity);
        size_of::<Client>() + input + output + buffers.chunk_bytes + queued + interest
    }

    /// How far the engine's account of memory is from so many bytes.
    #[inline]
    pub(crate) fn unaccounted(&self, bytes: usize) -> usize {
        bytes.abs_diff(self.accounted.load(Relaxed))
    }

    /// Has the engine's account of memory take what the connection takes from here on. Answers by how
    /// much more that is.
    pub(crate) fn account(&self) -> isize {
        let change = self.account_for(self.bytes());
        // What has gone was taken out of the account, before this or after it.
        match self.is_gone() {
            true => change + self.account_for(0),
            false => change,
        }
    }

    fn account_for(&self, bytes: usize) -> isize {
        // Nobody holds half of all addresses, so the difference keeps its sign.
        let before = self.accounted.swap(bytes, AcqRel);
        bytes.wrapping_sub(before).cast_signed()
    }

    /// Whether the client is spared when memory is short: CLIENT NO-EVICT.
    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Relaxed)
    }

    /// What the connection held when it showed that last.
    pub(crate) fn buffers(&self) -> Buffers {
        self.buffers.load()
    }

    pub(crate) fn info(&self) -> &ClientInfo {
        &self.info
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }

    /// As whom it came in.
    #[inline]
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    pub(crate) fn kind(&self) -> ClientKind {
        let Doing {
            channels,
            patterns,
            shard_channels,
            ..
        } = &self.doing;
        let topics = [channels, patterns, shard_channels];
        match topics.iter().any(|count| count.load(Relaxed) > 0) {
            true => ClientKind::PubSub,
            false => ClientKind::Normal,
        }
    }

    /// How many keys it watches.
    pub(crate) fn watched_keys(&self) -> usize {
        self.doing.watched.load(Relaxed)
    }

    /// Notes that requests have come by now.
    pub(super) fn seen(&self, now: Now) {
        self.last_seen_us.store(now.unix_us(), Relaxed);
    }

    /// Notes a request: its command, if it names one.
    #[inline]
    pub(super) fn note(&self, command: Option<&'static Row>) {
        let number = command.map_or(0, |command| commands::number(command) + 1);
        self.last_command.store(number, Relaxed);
    }

    /// Shows what the session is in the middle of.
    pub(super) fn show(&self, session: &Session) {
        let topics = |topic| {
            let subscriber = session.subscribed();
            subscriber.map_or(0, |subscriber| subscriber.names(topic).len())
        };
        let transaction = session.transaction();
        let queued = transaction.map_or(0, |transaction| transaction.queue.len() + 1);
        let queued_bytes = transaction.map_or(0, |transaction| transaction.bytes);
        let watched = session.watching().map_or(0, Watching::len);
        // Nobody else writes it.
        let watched_before = self.doing.watched.load(Relaxed);
        self.doing.watched.store(watched, Relaxed);
        if watched_before + watched > 0 {
            *self.watch.lock() = session.watch();
        }
        self.db.store(session.db, Relaxed);
        self.doing.channels.store(topics(Topic::Channel), Relaxed);
        self.doing.patterns.store(topics(Topic::Pattern), Relaxed);
        let shard_channels = topics(Topic::ShardChannel);
        self.doing.shard_channels.store(shard_channels, Relaxed);
        self.doing.queued.store(queued, Relaxed);
        self.doing.queued_bytes.store(queued_bytes, Relaxed);
        let interest_bytes = session.interest_bytes();
        self.doing.interest_bytes.store(interest_bytes, Relaxed);
        self.doing.is_resp3.store(session.resp3, Relaxed);
        self.doing.is_monitor.store(session.is_monitor(), Relaxed);
    }

    /// Has the client spared when memory is short: CLIENT NO-EVICT.
    pub(super) fn keep(&self, is_kept: bool) {
        self.is_kept.store(is_kept, Relaxed);
    }

    /// Has the client's reads not count as uses of keys: CLIENT NO-TOUCH.
    pub(super) fn set_untouching(&self, is_untouching: bool) {
        self.manner.set(Manner::UNTOUCHING, is_untouching);
    }

    /// Has the client bring data from another server, or not: CLIENT IMPORT-SOURCE.
    pub(super) fn set_importing(&self, is_importing: bool) {
        self.manner.set(Manner::IMPORTING, is_importing);
    }

    /// How it looks at keys.
    #[inline]
    pub(super) fn manner(&self) -> Manner {
        self.manner.load()
    }

    /// Notes that the client can be sent to another server: CLIENT CAPA.
    pub(super) fn allow_redirection(&self) {
        self.can_be_redirected.store(true, Relaxed);
    }

    pub(super) fn can_be_redirected(&self) -> bool {
        self.can_be_redirected.load(Relaxed)
    }

    /// Makes what the client has said of itself as if it were new: RESET. Its library stays known.
    pub(super) fn reset(&self) {
        self.names().name.clear();
        self.keep(false);
        self.set_untouching(false);
        self.set_importing(false);
    }

    /// Notes that the connection waits.
    pub(crate) fn waits(&self, waiter: &Arc<Waiter>) {
        *self.waiter.lock() = Arc::downgrade(waiter);
    }

    /// What the connection waits for, if it does.
    pub(crate) fn waiter(&self) -> Option<Arc<Waiter>> {
        let waiter = self.waiter.lock().upgrade();
        waiter.filter(|waiter| waiter.is_waiting())
    }

    /// Whether a request of the connection waits: for keys, or for the end of a pause.
    pub(crate) fn is_blocked(&self) -> bool {
        self.login.is_put_off() || self.waiter().is_some()
    }

    /// Where messages for it are put.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The connection is closed, or will be with its next answer.
    pub(super) fn go(&self) {
        self.is_gone.store(true, Release);
    }

    /// Whether the connection is closed.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Acquire)
    }

    pub(crate) fn is_resp3(&self) -> bool {
        self.doing.is_resp3.load(Relaxed)
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.kind() == ClientKind::PubSub
    }

    /// Has messages come for it that another connection was to be told.
    pub(crate) fn become_listener(&self) {
        self.is_listener.store(true, Release);
        // It may be waiting for requests alone.
        if let Some(waker) = &*self.killer.lock() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn is_listener(&self) -> bool {
        self.is_listener.load(Acquire)
    }

    pub(super) fn show_tracker(&self, tracker: &Arc<Tracker>) {
        *self.tracker.lock() = Arc::downgrade(tracker);
    }

    /// How it hears of changes of what it has read, if it does.
    fn tracker(&self) -> Option<Arc<Tracker>> {
        let tracker = self.tracker.lock().upgrade();
        tracker.filter(|tracker| !tracker.is_over())
    }

    /// How long there has been such a connection, in whole seconds.
    pub(crate) fn age_s(&self, now: Now) -> u64 {
        now.unix_us().saturating_sub(self.info.since_us) / 1_000_000
    }

    /// For how long it has sent nothing, in whole seconds.
    pub(crate) fn idle_s(&self, now: Now) -> u64 {
        now.unix_us().saturating_sub(self.last_seen_us()) / 1_000_000
    }

    /// The database that it is in.
    pub(super) fn db(&self) -> usize {
        self.db.load(Relaxed)
    }

    /// The flags of CLIENT LIST.
    pub(super) fn flags(&self) -> String {
        let tracker = self.tracker();
        let is_tracking = |is: fn(&Tracker) -> bool| tracker.as_deref().is_some_and(is);
        let watch = self.watch.lock().upgrade();
        let flags = [
            (self.doing.is_monitor.load(Relaxed), 'O'),
            (self.kind() == ClientKind::PubSub, 'P'),
            (self.doing.queued.load(Relaxed) > 0, 'x'),
            (self.is_blocked(), 'b'),
            (tracker.is_some(), 't'),
            (is_tracking(Tracker::is_broken), 'R'),
            (is_tracking(Tracker::is_broadcasting), 'B'),
            (watch.is_some_and(|watch| watch.is_touched()), 'd'),
            (self.is_killed(), 'A'),
            (self.info.is_local(), 'U'),
            (self.is_kept.load(Relaxed), 'e'),
            (self.manner().is(Manner::UNTOUCHING), 'T'),
            (self.manner().is(Manner::IMPORTING), 'I'),
        ];
        let set: String = flags
            .iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, flag)| flag)
            .collect();
        match set.is_empty() {
            true => "N".to_owned(),
            false => set,
        }
    }

    /// The line of `CLIENT LIST`, as far as others can know it. Arguments are read where they stand
    /// in the buffer, so they take no memory of their own. The one who asks has a request of so many
    /// bytes there.
    pub(crate) fn line(&self, now: Now, asking: usize) -> String {
        let names = self.names.lock();
        let doing = &self.doing;
        let last = self.last_command.load(Relaxed).checked_sub(1);
        let last = last.and_then(commands::row);
        let idle_s = self.idle_s(now);
        let user = self.login.user();
        let user = larder_resp::text_of(&user);
        let Buffers {
            unanswered,
            input_capacity: input,
            unwritten,
            output_capacity: output,
            chunks,
            chunk_bytes,
        } = self.buffers.load();
        let unanswered = unanswered + asking;
        // Redis has a buffer, and a list for what does not fit into it.
        let is_list = chunks > 0 || unwritten > REPLY_BUFFER;
        let (in_buffer, in_list) = match is_list {
            true => (0, chunk_bytes + unwritten),
            false => (unwritten, 0),
        };
        let list_len = chunks + usize::from(is_list && unwritten > 0);
        let queued = doing.queued_bytes.load(Relaxed);
        let redirected = self.tracker().map(|tracker| tracker.redirected());
        let fields: [(&str, &dyn Display); 31] = [
            ("id", &self.id),
            ("addr", &self.info.address),
            ("laddr", &self.info.local_address),
            ("fd", &self.info.descriptor.unwrap_or(-1)),
            ("name", &names.name),
            ("age", &self.age_s(now)),
            ("idle", &idle_s),
            ("flags", &self.flags()),
            ("db", &self.db.load(Relaxed)),
            ("sub", &doing.channels.load(Relaxed)),
            ("psub", &doing.patterns.load(Relaxed)),
            ("ssub", &doing.shard_channels.load(Relaxed)),
            ("multi", &(doing.queued.load(Relaxed) as i64 - 1)),
            ("watch", &self.watched_keys()),
            ("qbuf", &unanswered),
            ("qbuf-free", &input.saturating_sub(unanswered)),
            ("argv-mem", &0),
            ("multi-mem", &queued),
            ("rbs", &output),
            ("rbp", &output),
            ("obl", &in_buffer),
            ("oll", &list_len),
            ("omem", &in_list),
            ("tot-mem", &self.bytes()),
            ("events", &if unwritten + chunks > 0 { "rw" } else { "r" }),
            ("cmd", &last.map_or("NULL".into(), Row::full_name)),
            ("user", &user),
            ("redir", &redirected.unwrap_or(-1)),
            ("resp", &if doing.is_resp3.load(Relaxed) { 3 } else { 2 }),
            ("lib-name", &names.library),
            ("lib-ver", &names.library_version),
        ];
        fields
            .map(|(name, value)| format!("{name}={value}"))
            .join(" ")
    }
}

/// A connection on the list of all connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    client: Arc<Client>,
    engine: Weak<Engine>,
}

impl Registered {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.client.go();
        if let Some(engine) = self.engine.upgrade() {
            engine.clients.clients.lock().remove(&self.client.id);
            engine.account(&self.client);
        }
    }
}

/// All connections, by id.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    seen: AtomicU64,
}

impl Clients {
    pub(super) fn add(
        &self,
        engine: &Arc<Engine>,
        info: ClientInfo,
        mailbox: &Arc<Mailbox>,
    ) -> Registered {
        let client = engine.log_in_stranger(|login| {
            let client = Arc::new(Client::new(engine.fresh_id(), info, login, mailbox));
            self.clients.lock().insert(client.id, Arc::clone(&client));
            client
        });
        self.seen.fetch_add(1, Relaxed);
        engine.account(&client);
        Registered {
            client,
            engine: Arc::downgrade(engine),
        }
    }

    /// How many connections there have been.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Relaxed)
    }

    pub(crate) fn reset_seen(&self) {
        self.seen.store(0, Relaxed);
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.clients.lock().get(&id).cloned()
    }

    /// Has a connection closed. It is on the list no more: whoever asks for it sees it gone.
    pub(crate) fn kill(&self, client: &Client) {
        self.clients.lock().remove(&client.id);
        client.kill();
    }

    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().cloned().collect()
    }
}
