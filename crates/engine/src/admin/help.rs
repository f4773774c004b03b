//! HELP of every container: a text derived from the rows of its subcommands.

use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::commands;
use crate::error::Result;

/// The row of a container's HELP.
pub(crate) const fn row(name: &'static str, since: &'static str) -> Row {
    Row {
        name,
        run: help,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: Flags::NONE,
        syntax: "",
        summary: "Lists the subcommands.",
        complexity: "O(1)",
        since,
    }
}

fn help(call: &mut Call<'_, '_>) -> Result<()> {
    let container = call.command.container().unwrap_or(call.command.name);
    let mut rows: Vec<_> = commands()
        .map(|(_, command)| command)
        .filter(|command| command.container() == Some(container))
        .collect();
    rows.sort_by_key(|row| (row.name.ends_with(" HELP"), row.name));
    call.reply.array(1 + 2 * rows.len());
    call.reply.status(&format!(
        "{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for row in rows {
        let subcommand = row.name.get(container.len() + 1..).unwrap_or_default();
        let line = format!("{subcommand} {}", row.syntax);
        call.reply.status(line.trim_end());
        call.reply.status(&format!("    {}", row.summary));
    }
    Ok(())
}
