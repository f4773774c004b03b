//! FCALL and FCALL_RO: a function is run.

use larder_store::Command as Request;

use super::super::Purpose;
use super::super::work::Work;
use super::{Function, Library};
use crate::args::parse_int;
use crate::command::Call;
use crate::error::{Error, Result};
use crate::session::Session;

/// How many bytes the words of a request may have that FUNCTION STATS shows whole.
const SHOWN_LEN_MAX: usize = 1 << 16;

/// How many words it may have; of one that has more, or longer ones, the first three are shown.
const SHOWN_WORDS_MAX: usize = 128;

/// A function that is called.
pub(in super::super) struct Found<'a> {
    function: &'a Function,
    request: Request,
}

impl Found<'_> {
    pub(in super::super) fn library(&self) -> &Library {
        &self.function.library
    }

    pub(in super::super) fn name(&self) -> &str {
        &self.function.info().name
    }

    /// The request that calls it, as others may see it.
    pub(in super::super) fn request(&self) -> &Request {
        &self.request
    }
}

pub(in super::super) fn fcall(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, false)
}

pub(in super::super) fn fcall_ro(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, true)
}

fn run(call: &mut Call<'_, '_>, is_readonly: bool) -> Result<()> {
    let scripts = &call.engine.scripts;
    let function = scripts.functions.find(call.args.bytes()?);
    let function = &function.ok_or_else(|| Error::text("ERR Function not found"))?;
    let bad_number = || Error::text("ERR Bad number of keys provided");
    let count = parse_int(call.args.bytes()?).ok_or_else(bad_number)?;
    if count > call.args.len() as i64 {
        let text = "ERR Number of keys can't be greater than number of args";
        return Err(Error::text(text));
    }
    let count = usize::try_from(count);
    let count = count.map_err(|_| Error::text("ERR Number of keys can't be negative"))?;
    let keys = call.args.take(count)?;
    let arguments = call.args.rest();

    let flags = function.info().flags;
    if is_readonly && !flags.is_readonly() {
        return Err(Error::text(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    let mut vm = scripts.take(Purpose::Functions)?;
    vm.limit_memory(call.engine.config.script_memory_max());
    let mut session = Session::in_script(call.session);
    let work = Work {
        engine: call.engine,
        session: &mut session,
        keyspace: call.keyspace,
        bounds: None,
        is_readonly: flags.is_readonly(),
        may_take_memory: flags.allows_oom() || !call.engine.is_over_limit(),
    };
    let db = work.keyspace.db();
    let found = Found {
        function,
        request: shown(call.args.whole()),
    };
    let answered = vm.run_function(&found, keys.iter(), arguments, work, call.reply);
    call.keyspace.select(db);
    let refusal = answered.as_ref().err();
    call.is_passed_on = refusal.is_some_and(|refusal| session.passes_on(refusal));
    scripts.give_back(vm);
    // Before its shards are let go: whoever needed them is not to be refused any more.
    if call.engine.shards.any_busy() {
        call.engine.note_overdue_scripts(call.keyspace.ticks());
    }
    answered
}

/// The words of a request as FUNCTION STATS shows them.
fn shown(words: larder_resp::Arguments<'_>) -> Request {
    let is_short = words.len() <= SHOWN_WORDS_MAX
        && words.iter().map(<[u8]>::len).sum::<usize>() <= SHOWN_LEN_MAX;
    match is_short {
        true => Request::from(words),
        false => Request::from(words.slice(0..3.min(words.len()))),
    }
}
