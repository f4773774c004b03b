//! The parts of a server's address.

/// The host and the port of an address, as nodes are named: `host:port`, `[::1]:6379`, or the path of a
/// Unix socket, which has no port.
pub(crate) fn of(address: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = address.rsplit_once(':') else {
        return (address, None);
    };
    match port.parse() {
        Ok(port) if !host.contains('/') => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (host, Some(port))
        }
        _ => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port_and_a_path_has_none() {
        assert_eq!(of("cache:6379"), ("cache", Some(6379)));
        assert_eq!(of("[::1]:6379"), ("::1", Some(6379)));
        assert_eq!(of("/run/redis.sock"), ("/run/redis.sock", None));
        assert_eq!(of("/run/a:1"), ("/run/a:1", None));
        assert_eq!(of(""), ("", None));
    }
}
