//! Topologies that tests share: `topologies SETS` starts so many clusters, and as many masters watched by
//! Sentinels, and prints the folder of the shelf that they are on.
//!
//! They end with this program, and it ends when its standard input is closed: whoever has started it
//! need only end. A topology that a test found to be beyond repair is replaced.

use std::io::Read;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use larder_testkit::{Cluster, Lent, Sentinels, ServerKind, Shelf};

/// How often the shelf is looked at.
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    let sets = std::env::args().nth(1).and_then(|sets| sets.parse().ok());
    let Some(sets) = sets else {
        eprintln!("topologies SETS");
        std::process::exit(2);
    };
    let shelf = Shelf::default();
    let (started, all_started) = channel();
    for number in 0..sets {
        keep::<Cluster>(&shelf, number, &started);
        keep::<Sentinels>(&shelf, number, &started);
    }
    drop(started);
    for _ in 0..2 * sets {
        if all_started.recv().is_err() {
            eprintln!("a topology does not start");
            std::process::exit(1);
        }
    }
    println!("{}", shelf.folder().display());
    // An error is an end as well.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Has a thread start a topology, and start another in its place should it break.
fn keep<T: Lent>(shelf: &Shelf, number: usize, started: &Sender<()>) {
    let (shelf, started) = (shelf.clone(), started.clone());
    std::thread::spawn(move || {
        let kind = ServerKind::Redis;
        let start = || T::start_to_lend(kind).expect("there is a redis-server");
        let mut topology = start();
        shelf.put(kind, number, &topology);
        // Nobody listens any more when another topology did not start.
        let _ = started.send(());
        drop(started);
        loop {
            std::thread::sleep(ROUND);
            if shelf.is_broken::<T>(kind, number) {
                topology = start();
                shelf.put(kind, number, &topology);
            }
        }
    });
}
