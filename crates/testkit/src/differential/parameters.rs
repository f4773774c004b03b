//! Parameters that both servers have.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Parameters, with the value that each has before a program and others that it can be given.
pub(super) const PARAMETERS: &[(&str, &str, &str)] = &[
    ("hash-max-listpack-entries", "512", "0 1 2 128 -1 abc"),
    ("hash-max-listpack-value", "64", "0 1 2 100"),
    ("set-max-intset-entries", "512", "0 1 2 100"),
    ("zset-max-listpack-entries", "128", "0 1 2 100"),
    ("zset-max-listpack-value", "64", "0 1 2 100"),
    ("hll-sparse-max-bytes", "3000", "0 10 100 16000"),
    ("stream-node-max-entries", "100", "0 1 2 10"),
    ("slowlog-max-len", "128", "0 10 -1"),
    ("tcp-keepalive", "300", "0 100 -1 abc"),
    ("timeout", "0", "0 1000 -1 1e3"),
    ("maxmemory-samples", "5", "1 10 abc"),
    (
        "maxmemory-policy",
        "noeviction",
        "noeviction allkeys-lru volatile-ttl nonsense NOEVICTION",
    ),
    ("proto-max-bulk-len", "512mb", "1mb 100Mb 1048576 1x"),
    ("latency-monitor-threshold", "0", "0 100 -1"),
];

/// The request that gives all parameters the values that they have before a program.
pub(super) fn reset() -> Vec<Vec<u8>> {
    let pairs = PARAMETERS
        .iter()
        .flat_map(|(name, value, _)| [*name, *value]);
    let words = ["CONFIG", "SET"].into_iter().chain(pairs);
    words.map(|word| word.as_bytes().to_vec()).collect()
}

/// The name of a parameter.
pub(super) fn name(random: &mut StdRng) -> Vec<u8> {
    let parameter = PARAMETERS.choose(random);
    parameter
        .map(|(name, ..)| name.as_bytes().to_vec())
        .unwrap_or_default()
}

/// A value for a parameter.
pub(super) fn value(random: &mut StdRng, name: &[u8]) -> Vec<u8> {
    let parameter = PARAMETERS.iter().find(|(own, ..)| own.as_bytes() == name);
    let values = parameter.map_or("", |(_, _, values)| values);
    let values: Vec<&str> = values.split(' ').collect();
    values
        .choose(random)
        .map(|value| value.as_bytes().to_vec())
        .unwrap_or_default()
}
