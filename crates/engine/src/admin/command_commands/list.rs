//! COMMAND LIST: the names of commands.

use super::described::Described;
use crate::command::Call;
use crate::commands;
use crate::error::{Error, Result};
use crate::pubsub::glob;

/// Which commands COMMAND LIST lists.
enum Filter<'a> {
    All,
    /// Those of a module: there are none.
    Module,
    Category(&'a [u8]),
    Pattern(Vec<u8>),
}

impl Filter<'_> {
    fn allows(&self, described: Described<'_>) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(wanted) => described
                .categories()
                .iter()
                .any(|name| name.as_bytes()[1..].eq_ignore_ascii_case(wanted)),
            Filter::Pattern(pattern) => glob::matches(pattern, described.full_name().as_bytes()),
        }
    }
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<()> {
    let filter = match call.args.is_empty() {
        true => Filter::All,
        false if !call.args.option("FILTERBY") => return Err(Error::Syntax),
        false if call.args.option("MODULE") => {
            call.args.bytes()?;
            Filter::Module
        }
        false if call.args.option("ACLCAT") => Filter::Category(call.args.bytes()?),
        false if call.args.option("PATTERN") => {
            Filter::Pattern(call.args.bytes()?.to_ascii_lowercase())
        }
        false => return Err(Error::Syntax),
    };
    call.args.end()?;

    let mut names = Vec::new();
    for top in commands::first_words() {
        let top = Described::top(top);
        let all = std::iter::once(top).chain(top.subcommands());
        let allowed = all.filter(|described| filter.allows(*described));
        names.extend(allowed.map(Described::full_name));
    }
    call.reply.array(names.len());
    names
        .iter()
        .for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}
