//! What Sentinels tell: the addresses in their answers and messages.

use larder_store::{Command, Value};
use tokio::time::Instant;

use crate::address::Address;
use crate::wire::{Connection, Until};

/// The master that a message names: `NAME old-host old-port new-host new-port`.
pub(super) fn new_master(parts: &[Value], name: &str) -> Option<Address> {
    let [_, _, Value::Bytes(payload)] = parts else {
        return None;
    };
    let text = std::str::from_utf8(payload).ok()?;
    let mut words = text.rsplitn(5, ' ');
    let (port, host) = (words.next()?, words.next()?);
    let is_ours = words.nth(2)? == name;
    is_ours
        .then(|| Some(Address::tcp(host, port.parse().ok()?)))
        .flatten()
}

/// Whether a message says that there is a replica of this master (again):
/// `slave host:port host port @ NAME master-host master-port`.
pub(super) fn is_about_replica(parts: &[Value], name: &str) -> bool {
    let [_, _, Value::Bytes(payload)] = parts else {
        return false;
    };
    let text = std::str::from_utf8(payload).unwrap_or_default();
    let Some((replica, master)) = text.split_once(" @ ") else {
        return false;
    };
    replica.starts_with("slave ") && master.rsplitn(3, ' ').nth(2) == Some(name)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        Value::Status(text) => Some(text),
        _ => None,
    }
}

/// `[host, port]`.
pub(super) fn address_of(parts: &[Value]) -> Option<Address> {
    let [host, port] = parts else {
        return None;
    };
    Some(Address::tcp(text(host)?, text(port)?.parse().ok()?))
}

/// The addresses of those in a list of maps that are not known to be down.
pub(super) fn addresses_in(list: &Value) -> Vec<Address> {
    let Value::Array(all) = list else {
        return Vec::new();
    };
    let address = |one: &Value| {
        let field = |name| field(one, name);
        let flags = field("flags").unwrap_or_default();
        let is_down = flags
            .split(',')
            .any(|flag| matches!(flag, "s_down" | "o_down" | "disconnected"));
        let port = field("port")?.parse().ok()?;
        (!is_down).then(|| Address::tcp(field("ip").unwrap_or_default(), port))
    };
    all.iter().filter_map(address).collect()
}

fn field<'v>(one: &'v Value, wanted: &str) -> Option<&'v str> {
    match one {
        Value::Map(pairs) => {
            let mut pairs = pairs.iter();
            pairs.find_map(|(name, value)| (text(name) == Some(wanted)).then(|| text(value))?)
        }
        Value::Array(flat) => {
            let mut pairs = flat.chunks_exact(2);
            pairs.find_map(|pair| (text(&pair[0]) == Some(wanted)).then(|| text(&pair[1]))?)
        }
        _ => None,
    }
}

/// The names that a Sentinel knows.
pub(super) async fn names_of_masters(connection: &Connection, until: Instant) -> Vec<String> {
    let masters = Command::new("SENTINEL").arg("MASTERS");
    match connection.call(&masters, Until::Own(until)).await {
        Ok(Value::Array(all)) => {
            let names = all.iter().filter_map(|one| field(one, "name"));
            names.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_another_master_is_none_of_ours() {
        let message = |text: &'static str| {
            let bytes = |text: &'static str| Value::Bytes(text.into());
            [bytes("message"), bytes("+switch-master"), bytes(text)]
        };
        let ours = message("my master 10.0.0.1 6379 10.0.0.2 6380");
        assert_eq!(
            new_master(&ours, "my master"),
            Some(Address::tcp("10.0.0.2", 6380))
        );
        assert_eq!(new_master(&ours, "master"), None);
        assert_eq!(new_master(&message("x"), "x"), None);
        let replica = message("slave 10.0.0.3:6379 10.0.0.3 6379 @ my master 10.0.0.1 6379");
        assert!(is_about_replica(&replica, "my master"));
        assert!(!is_about_replica(&replica, "my"), "it is another one's");
        assert!(!is_about_replica(&ours, "my master"));
    }
}
