//! Topologies that many tests use, one after the other.
//!
//! A [`Shelf`] is a folder with a file for each topology, in which the ports of its servers stand, and in
//! further lines what each of those that keep data was set to at the start. Who uses a topology holds the
//! lock of its file, which the kernel opens again however the test ends.
//!
//! `cargo xtask test` has a shelf filled by the program `topologies` and names it in
//! `LARDER_TEST_TOPOLOGIES`. Without that, a process that asks for a topology starts one of its own, keeps
//! it on a shelf of its own, and lends it to one of its tests at a time.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cluster::Cluster;
use super::node::Node;
use super::sentinels::Sentinels;
use super::settings::Settings;
use crate::household::temporary_dir;
use crate::server::ServerKind;
use crate::until::holds_within;

/// How long a test waits for others to give a topology back.
const TURN: Duration = Duration::from_secs(120);

/// How long a topology may take until it is as new.
const RENEWAL: Duration = Duration::from_secs(10);

/// The variable that names the shelf.
const SHELF: &str = "LARDER_TEST_TOPOLOGIES";

/// A topology that can be lent.
pub trait Lent: Sized {
    /// What the names of its files begin with.
    const NAME: &'static str;

    /// Starts one to be lent. `None` if this machine has no such server.
    fn start_to_lend(kind: ServerKind) -> Option<Self>;

    /// The ports of its servers, in an order that [`Lent::on`] understands.
    fn ports(&self) -> Vec<u16>;

    /// The topology whose servers have these ports.
    fn on(ports: &[u16]) -> Self;

    /// The servers that keep data.
    fn nodes(&self) -> &[Node];

    /// Removes everything, and gives up what is on its way. `None` if it can't be.
    fn empty(&self) -> Option<()>;

    /// Whether all is in order.
    fn is_settled(&self) -> bool;
}

impl Lent for Cluster {
    const NAME: &'static str = "cluster";

    fn start_to_lend(kind: ServerKind) -> Option<Cluster> {
        let cluster = Cluster::start(kind)?;
        cluster.be_patient();
        Some(cluster)
    }

    fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Node::port).collect()
    }

    fn on(ports: &[u16]) -> Cluster {
        Cluster::of_others(ports)
    }

    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn empty(&self) -> Option<()> {
        Cluster::empty(self)
    }

    fn is_settled(&self) -> bool {
        Cluster::is_settled(self)
    }
}

impl Lent for Sentinels {
    const NAME: &'static str = "sentinels";

    fn start_to_lend(kind: ServerKind) -> Option<Sentinels> {
        let sentinels = Sentinels::start(kind)?;
        sentinels.be_patient();
        Some(sentinels)
    }

    fn ports(&self) -> Vec<u16> {
        let all = self.nodes.iter().chain(&self.sentinels);
        all.map(Node::port).collect()
    }

    fn on(ports: &[u16]) -> Sentinels {
        let (nodes, sentinels) = ports.split_at(ports.len() / 2);
        Sentinels::of_others(nodes, sentinels)
    }

    fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    fn empty(&self) -> Option<()> {
        Sentinels::empty(self)
    }

    fn is_settled(&self) -> bool {
        Sentinels::is_settled(self)
    }
}

/// A topology for one test: empty, in order, and nobody else's until this is dropped.
#[derive(Debug)]
pub struct Lease<T> {
    /// The topology.
    pub topology: T,
    hold: Hold,
}

/// Keeps a topology from other tests for as long as one of these lives. The file's lock is open when it
/// is closed.
#[derive(Clone, Debug)]
pub(crate) struct Hold(#[expect(dead_code, reason = "it is held")] Arc<File>);

impl<T> Lease<T> {
    /// Keeps the topology from others for longer than the lease: what a test has left to tasks of its
    /// own may still write when the test is over.
    pub(crate) fn hold(&self) -> Hold {
        self.hold.clone()
    }
}

/// Lends a topology. `None` if this machine has no such server, and is allowed not to.
///
/// # Panics
///
/// If none gets free, or if there is no server and `LARDER_TEST_REQUIRE=all`.
pub fn lend<T: Lent>(kind: ServerKind) -> Option<Lease<T>> {
    let shelf = match std::env::var_os(SHELF) {
        Some(folder) => Shelf::at(folder.into()),
        None => own_shelf::<T>(kind)?,
    };
    Some(shelf.lend(kind))
}

/// The shelf of this process, with a topology of this kind on it.
fn own_shelf<T: Lent>(kind: ServerKind) -> Option<Shelf> {
    static SHELF: Mutex<Option<Shelf>> = Mutex::new(None);
    let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
    let shelf = shelf.get_or_insert_default();
    if shelf.files::<T>(kind).iter().all(|file| is_broken(file)) {
        let topology = T::start_to_lend(kind)?;
        shelf.put(kind, shelf.files::<T>(kind).len(), &topology);
        // It ends with this process.
        std::mem::forget(topology);
    }
    Some(shelf.clone())
}

/// A folder of topologies that can be borrowed.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Default for Shelf {
    /// A shelf in a folder that goes with this process.
    fn default() -> Shelf {
        Shelf(temporary_dir())
    }
}

impl Shelf {
    /// The shelf in this folder, which somebody else has filled.
    pub fn at(folder: PathBuf) -> Shelf {
        Shelf(folder)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Puts a topology on the shelf, in the place of the one that had this number.
    ///
    /// # Panics
    ///
    /// If the folder can't be written, or a server does not answer.
    pub fn put<T: Lent>(&self, kind: ServerKind, number: usize, topology: &T) {
        let ports: Vec<_> = topology.ports().iter().map(u16::to_string).collect();
        let mut lines = vec![ports.join(" ")];
        for node in topology.nodes() {
            let settings = Settings::of(node).expect("a server says what it is set to");
            lines.push(settings.to_line());
        }
        let written = self.0.join(format!("new-{}-{kind:?}-{number}", T::NAME));
        let moved = std::fs::write(&written, lines.join("\n"))
            .and_then(|()| std::fs::rename(&written, self.file::<T>(kind, number)));
        moved.expect("the folder of the shelf can be written");
    }

    /// Whether the topology of this number was found to be beyond repair.
    pub fn is_broken<T: Lent>(&self, kind: ServerKind, number: usize) -> bool {
        is_broken(&self.file::<T>(kind, number))
    }

    fn file<T: Lent>(&self, kind: ServerKind, number: usize) -> PathBuf {
        self.0.join(format!("{}-{kind:?}-{number}", T::NAME))
    }

    fn files<T: Lent>(&self, kind: ServerKind) -> Vec<PathBuf> {
        let numbered = (0..).map(|number| self.file::<T>(kind, number));
        numbered.take_while(|file| file.exists()).collect()
    }

    /// Lends a topology of the shelf, as soon as one is free.
    ///
    /// # Panics
    ///
    /// If there is none, or none is given back for minutes.
    pub fn lend<T: Lent>(&self, kind: ServerKind) -> Lease<T> {
        let files = self.files::<T>(kind);
        let (name, shelf) = (T::NAME, self.0.display());
        assert!(!files.is_empty(), "no {name} of {kind:?} in {shelf}");
        let lent = holds_within(TURN, || files.iter().find_map(|file| try_lend(file)));
        lent.unwrap_or_else(|| panic!("no {name} of {kind:?} in {shelf} is given back"))
    }
}

/// Takes a topology that nobody else has and that can be renewed.
fn try_lend<T: Lent>(path: &Path) -> Option<Lease<T>> {
    let mut file = File::options().read(true).write(true).open(path).ok()?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return None,
        Err(TryLockError::Error(error)) => panic!("{} can't be locked: {error}", path.display()),
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let ports: Vec<u16> = lines
        .next()?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let settings: Vec<Settings> = lines.map(Settings::parse).collect::<Option<_>>()?;
    let topology = T::on(&ports);
    if renew(&topology, &settings).is_none() {
        eprintln!("{} is beyond repair", path.display());
        let _ = file.set_len(0);
        return None;
    }
    Some(Lease {
        topology,
        hold: Hold(Arc::new(file)),
    })
}

/// Makes a topology as new: empty, set to what it was set to, and in order. `None` if it can't be.
fn renew<T: Lent>(topology: &T, settings: &[Settings]) -> Option<()> {
    for (node, settings) in topology.nodes().iter().zip(settings) {
        settings.restore(node)?;
    }
    topology.empty()?;
    holds_within(RENEWAL, || topology.is_settled().then_some(()))
}

fn is_broken(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|about| about.len() == 0)
}
