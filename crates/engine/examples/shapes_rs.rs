//! Prints the shapes of the engine's commands for `larder_store::shape`. `cargo xtask docs` writes it to
//! its place.

use larder_engine::{Flags, KeySpec, Row, commands};

const HEAD: &str = "\
//! The shapes of the commands that the engine has.
//!
//! Generated from the engine's table of commands by `cargo xtask docs`; do not edit it by hand.

use super::Arity::{AtLeast, Exactly};
use super::{Flags, KeySpec, Shape};

pub(super) static SHAPES: &[Shape] = &[";

fn main() {
    println!("{HEAD}");
    let mut rows: Vec<&Row> = commands().map(|(_, row)| row).collect();
    rows.sort_by_key(|row| row.name);
    rows.into_iter().for_each(print_row);
    println!("];");
}

fn print_row(row: &Row) {
    let (name, arity, keys) = (row.name, row.arity, keys(row.keys));
    println!(
        "    Shape::new({name:?}, {arity:?}, {keys}, {}),",
        flags(row.flags)
    );
}

fn keys(keys: KeySpec) -> String {
    format!("KeySpec::{keys:?}")
}

fn flags(flags: Flags) -> String {
    let names = flags.names().map(|name| format!("Flags::{name}"));
    names
        .reduce(|one, other| format!("{one}.and({other})"))
        .unwrap_or_else(|| "Flags::NONE".into())
}
