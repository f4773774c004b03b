//! What an administrator has to know before anything goes wrong.

use std::net::SocketAddr;

use larder_embedded::Embedded;
use larder_server::Server;

/// How many connections the system lets wait at most to be accepted.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// Tells it.
pub(super) fn tell(server: &Server, embedded: &Embedded) {
    let engine = embedded.engine();
    if !engine.needs_password() {
        let addresses = server.addresses().iter().chain(server.tls_addresses());
        for address in addresses.filter(|address| !address.ip().to_canonical().is_loopback()) {
            warn_of_strangers(*address, engine.is_protected());
        }
    }
    let machine = larder_embedded::MaxMemory::Half.bytes().saturating_mul(2);
    match engine.max_memory() {
        0 => tracing::warn!(
            "the store may take any amount of memory, until the system ends the process: set maxmemory"
        ),
        max if machine > 0 && max > machine => tracing::warn!(
            "maxmemory is {} MiB, and the machine or container has {} MiB",
            max >> 20,
            machine >> 20
        ),
        _ => {}
    }
    warn_of_backlog(server.backlog());
}

/// Says if fewer connections may wait than was asked for.
fn warn_of_backlog(wanted: u16) {
    let most = std::fs::read_to_string(SOMAXCONN).ok();
    let most: Option<u64> = most.and_then(|text| text.trim().parse().ok());
    if let Some(most) = most.filter(|most| *most < u64::from(wanted)) {
        tracing::warn!("tcp-backlog is {wanted}, but {SOMAXCONN} allows {most}");
    }
}

/// Says what it means that there is no password where others than this machine can come.
fn warn_of_strangers(address: SocketAddr, is_protected: bool) {
    match is_protected {
        true => tracing::warn!(
            "{address} has no password, so clients from other machines are refused: set one with \
             --requirepass or LARDER_REQUIREPASS, or let everybody in with --protected-mode no"
        ),
        false => tracing::warn!(
            "{address} has no password, and is open to everybody who can reach it: set one with \
             --requirepass or LARDER_REQUIREPASS"
        ),
    }
}
