//! Prints COMMANDS.md from the table of commands. `cargo xtask docs` writes it to its place.

use larder_engine::{Row, commands};

const HEAD: &str = "\
# Commands

Generated from the engine's table of commands by `cargo xtask docs`; do not edit it by hand.

A command that stands here is whole: each of its options is there, with the replies, errors and edge
cases of Redis. A command that does not stand here is answered as Redis answers a command that it
does not know. The versions are those of Redis that had the command first.
";

fn main() {
    println!("{HEAD}");
    println!("{} commands in all.", commands().count());
    let mut families: Vec<&str> = commands().map(|(family, _)| family).collect();
    families.sort_unstable();
    families.dedup();
    for family in families {
        println!("\n## {}\n", family.replace('_', " "));
        println!("| command | what it does | time | since |\n|---|---|---|---|");
        let mut rows: Vec<_> = commands()
            .filter(|(of, _)| *of == family)
            .map(|(_, command)| command)
            .collect();
        rows.sort_by_key(|command| command.name);
        rows.into_iter().for_each(print_row);
    }
}

fn print_row(command: &Row) {
    let call = format!("{} {}", command.name, command.syntax);
    println!(
        "| `{}` | {} | {} | {} |",
        cell(call.trim_end()),
        cell(command.summary),
        cell(command.complexity),
        command.since
    );
}

/// A text as it may stand in a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
