//! Commands that servers have and the engine has not: those of Redis 8 and Valkey 9, without modules.
//!
//! A row leaves this file when the engine has the command: a test says so. Containers whose
//! subcommands touch no keys, and what only servers say to each other, are left out.

use super::Arity::{AtLeast, Exactly};
use super::KeySpec::{First, ThirdAndKeys};
use super::{Flags, Shape};

const READ: Flags = Flags::READONLY;
const FAST_READ: Flags = READ.and(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const FAST_WRITE: Flags = WRITE.and(Flags::FAST);
/// Writes that need memory.
const GROWTH: Flags = WRITE.and(Flags::DENY_OOM);

pub(super) const SHAPES: &[Shape] = &[
    // Copies of values.
    Shape::new("MIGRATE", AtLeast(6), ThirdAndKeys, WRITE),
    // Sets of vectors: Redis 8.0.
    Shape::new("VADD", AtLeast(5), First, GROWTH),
    Shape::new("VCARD", Exactly(2), First, FAST_READ),
    Shape::new("VDIM", Exactly(2), First, FAST_READ),
    Shape::new("VEMB", AtLeast(3), First, FAST_READ),
    Shape::new("VGETATTR", Exactly(3), First, FAST_READ),
    Shape::new("VINFO", Exactly(2), First, FAST_READ),
    Shape::new("VISMEMBER", Exactly(3), First, FAST_READ),
    Shape::new("VLINKS", AtLeast(3), First, FAST_READ),
    Shape::new("VRANDMEMBER", AtLeast(2), First, READ),
    Shape::new("VRANGE", AtLeast(4), First, READ),
    Shape::new("VREM", Exactly(3), First, WRITE),
    Shape::new("VSETATTR", Exactly(4), First, FAST_WRITE),
    Shape::new("VSIM", AtLeast(4), First, READ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::table;

    #[test]
    fn a_command_that_the_engine_has_does_not_stand_here() {
        let ours = |name| table::SHAPES.iter().any(|shape| shape.name == name);
        let twice = SHAPES.iter().filter(|shape| ours(shape.name));
        let twice: Vec<&str> = twice.map(|shape| shape.name).collect();
        assert!(
            twice.is_empty(),
            "take these rows out of foreign.rs: {twice:?}"
        );
    }
}
