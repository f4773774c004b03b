//! SHUTDOWN: asks whoever runs the engine to end.
//!
//! The engine ends nothing by itself. Who runs it as a server says with [`Engine::on_shutdown`] how the
//! end begins. A store inside of an application has nobody who says so, and refuses: a client must not
//! end the application.

use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::keyspace::Needs;
use crate::keyspace::waiting::{Nothing, Wait};
use crate::persist::{Then, refusal};

/// Begins the end of the process. It is called by the thread of a request, perhaps more than once, and
/// must not wait for the end: that waits for the request.
pub type Ending = Box<dyn Fn() + Send + Sync>;

pub(crate) const COMMANDS: &[Row] = &[Row {
    name: "SHUTDOWN",
    run: shutdown,
    arity: Arity::AtLeast(1),
    keys: KeySpec::None,
    flags: Flags::ADMIN.and(Flags::NO_SCRIPT).and(Flags::NO_MULTI),
    syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    summary: "Ends the server, and is not answered. It is saved before that if there are save points, or by SAVE.",
    complexity: "O(1)",
    since: "1.0.0",
}];

/// What is to be done about the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saving {
    /// What the configuration says: yes if there are save points.
    Unsaid,
    No,
    Yes,
}

/// How the server is to end.
#[derive(Debug)]
struct Options {
    saving: Saving,
    /// Whether it ends even though it has not saved.
    is_forced: bool,
    /// Whether an end that has begun is taken back instead.
    aborts: bool,
}

impl Options {
    fn read(args: &mut Args<'_>) -> Result<Options> {
        let (mut saves, mut saves_not) = (false, false);
        let (mut is_now, mut is_forced, mut aborts) = (false, false, false);
        while !args.is_empty() {
            match () {
                () if args.option("SAVE") => saves = true,
                () if args.option("NOSAVE") => saves_not = true,
                () if args.option("NOW") => is_now = true,
                () if args.option("FORCE") => is_forced = true,
                () if args.option("ABORT") => aborts = true,
                () => return Err(Error::Syntax),
            }
        }
        let saving = match (saves, saves_not) {
            (true, true) => return Err(Error::Syntax),
            (true, false) => Saving::Yes,
            (false, true) => Saving::No,
            (false, false) => Saving::Unsaid,
        };
        if aborts && (is_now || is_forced || saving != Saving::Unsaid) {
            return Err(Error::Syntax);
        }
        Ok(Options {
            saving,
            is_forced,
            aborts,
        })
    }
}

fn shutdown(call: &mut Call<'_, '_>) -> Result<()> {
    let options = Options::read(&mut call.args)?;
    if options.aborts {
        // An end can be taken back only while it waits for replicas.
        return Err(Error::text("ERR No shutdown in progress."));
    }
    if options.saving != Saving::No {
        call.engine.refuse_while_busy(call.keyspace.ticks())?;
    }
    let ending = call.engine.config.outside.ending();
    let ending = ending.ok_or(Error::text(
        "ERR the store is part of a process that does not end by SHUTDOWN",
    ))?;
    let saving = &call.engine.saving;
    let saves = match options.saving {
        Saving::Yes => true,
        Saving::No => false,
        Saving::Unsaid => saving.has_points(),
    };
    if saves && !saving.is_possible() && !options.is_forced {
        return Err(refusal());
    }
    let is_saved_first = saves && saving.is_possible() && !options.is_forced;
    if is_saved_first {
        call.keyspace.hold(Needs::Everything)?;
    }
    call.engine.config.outside.set_saves_at_end(saves);
    if !is_saved_first {
        ending();
        // The end of its connection is the answer. Until then nothing that it has sent is run.
        call.wait_for(Wait::for_time(None, Nothing::Never));
        return Ok(());
    }
    // So the server does not end where it can't be saved. What changes after that is saved when nobody can
    // change it any more.
    call.engine.cancel_snapshot();
    let now = call.keyspace.now();
    call.engine
        .begin_snapshot(call.keyspace, Then::Shutdown, now)?;
    call.wait_for(Wait::for_time(None, Nothing::Saved));
    Ok(())
}

impl Engine {
    /// Has SHUTDOWN call `ending`. The first one that is given stays; without one SHUTDOWN is refused.
    pub fn on_shutdown(&self, ending: Ending) {
        self.config.outside.set_ending(ending);
    }
}
