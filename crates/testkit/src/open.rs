//! What tests of servers begin with.

use larder_remote::{Config, Remote};
use larder_store::{Command, Store};

/// A store on the servers that the URL names.
///
/// # Panics
///
/// If the URL is none, or the settings can't be used.
pub fn open(url: &str, config: Config) -> Store {
    let remote = Remote::open(url, config);
    Store::new(remote.unwrap_or_else(|error| panic!("{url}: {error}")))
}

/// A command, of the words between the spaces of a line.
///
/// ```
/// assert_eq!(larder_testkit::words("SET name Ann").arguments().len(), 3);
/// ```
pub fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    Command::new(words.next().unwrap_or_default()).args(words)
}
