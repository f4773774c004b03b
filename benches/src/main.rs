//! In-process benchmarks.

fn main() {}
