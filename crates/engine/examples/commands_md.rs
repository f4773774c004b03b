//! Prints COMMANDS.md from the table of commands. `cargo xtask docs` writes it to its place.

use larder_engine::{Row, absent_fields, commands};

const HEAD: &str = "\
# Commands

Generated from the engine's table of commands by `cargo xtask docs`; do not edit it by hand.

A command that stands here is whole: each of its options is there, with the replies, errors and edge
cases of Redis; only the texts of HELP are its own, made of what stands here. A command that does not
stand here is answered as Redis answers a command that it does not know; [the last table](#not-here)
names those that Redis 8.0 or Valkey 9.1 has. The versions are those of Redis that had the command first,
or of Valkey where Redis has no such command.

What belongs to replicas, clusters, modules and disks is answered as by a Redis that has none of them; where it
says here that it is refused, that is the answer. On purpose it is not as in Redis that

- `SAVE` holds nobody up: others go on while the file is written, which holds what there was when it began.
- A store that is part of an application keeps nothing on disk, and refuses `SAVE`, `BGSAVE` and `SHUTDOWN SAVE`.
  `BGREWRITEAOF` is refused everywhere: there is no append-only file.
- `REPLICAOF host port`, `SYNC`, `PSYNC` and `REPLCONF` are refused: nobody waits for data that never comes.
- `SCRIPT DEBUG YES` and `SYNC` are refused: there is no debugger.
- `SHUTDOWN` is refused by a store that is part of an application: a client must not end that.
";

/// The commands of Redis 8.0 and Valkey 9.1: name, servers, and why it may be missing here.
const OF_SERVERS: &str = include_str!("server-commands.txt");

const NOT_HERE: &str = "\
## not here

Commands of Redis 8.0 and Valkey 9.1 that are missing: those of `modules`, and what would have to go over
the `network` to another server, since the engine goes nowhere.

| command | servers | why |
|---|---|---|";

const INFO: &str = "\
## INFO

INFO has the sections of Redis with its fields, for those who watch servers. A field that stands for
something that is not done here, such as replication, says that none of it has happened. Fields of Redis
8.0 and Valkey 9.1 that are left out:

| fields | why |
|---|---|";

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
    print_info();
    print_missing();
}

/// Prints which fields INFO has not.
fn print_info() {
    println!("\n{INFO}");
    for absent in absent_fields() {
        let names: Vec<String> = { absent.names.iter() }
            .map(|name| format!("`{name}`"))
            .collect();
        println!("| {} | {} |", names.join(", "), absent.why);
    }
}

/// Prints what servers have and the engine has not. A name that others begin with is there if they are.
fn print_missing() {
    println!("\n{NOT_HERE}");
    let lines = OF_SERVERS.lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let mut columns = line.split(" | ");
        let mut next = || columns.next().unwrap_or_default();
        let (name, servers, why) = (next(), next(), next());
        let is_here = commands().any(|(_, row)| row.name == name || row.container() == Some(name));
        if !is_here {
            println!("| `{name}` | {} | {why} |", servers.replace(' ', ", "));
        }
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
