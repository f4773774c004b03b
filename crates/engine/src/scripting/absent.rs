//! Scripts in an engine that was built without Lua: there are none, and whoever asks is told so.
//!
//! It stands in the place of `mod.rs`, with what that shows to the rest of the engine. Twins of scripts
//! run here as they do there.

pub(crate) mod commands;
pub(crate) mod number;
pub(crate) mod twin;
mod work;

use larder_resp::Arguments;

use crate::command::Row;
use crate::engine::{Engine, Ticks, TimeSource};
use crate::error::{Error, Result};
use crate::rdb::Writer;

/// The scripts that are known: none.
#[derive(Debug, Default)]
pub(crate) struct Scripts {}

impl Scripts {
    /// Whether the script of this request touches only the keys that it declares. It touches none.
    pub(crate) fn is_bounded(&self, _: &Row, _: Arguments<'_>) -> bool {
        true
    }

    /// Whether the script of this request says that it takes memory. It says nothing.
    pub(crate) fn takes_memory(&self, _: &Row, _: Arguments<'_>) -> bool {
        false
    }

    /// Whether the script of this request may write. It is refused.
    pub(crate) fn may_write(&self, _: &Row, _: Arguments<'_>) -> bool {
        false
    }

    /// How many bytes the texts of the known scripts take.
    pub(crate) fn bytes(&self) -> usize {
        0
    }

    /// How many bytes the libraries of functions take.
    pub(crate) fn functions_bytes(&self) -> usize {
        0
    }

    /// Writes the libraries of functions: none.
    pub(crate) fn write_libraries(&self, _: &mut Writer) {}

    /// How many libraries of functions there are, and how many functions in them: none.
    pub(crate) fn count_functions(&self) -> (usize, usize) {
        (0, 0)
    }

    /// Whether connections have been told that a script runs for too long: there is none.
    pub(crate) fn is_busy_for_all(&self) -> bool {
        false
    }

    /// How many scripts have been forgotten since there were too many: none.
    pub(crate) fn forgotten(&self) -> u64 {
        0
    }

    /// Begins to count those anew.
    pub(crate) fn reset_forgotten(&self) {}

    /// How many scripts are known.
    pub(crate) fn len(&self) -> usize {
        0
    }
}

impl Engine {
    /// Whether a script has been running for so long that callers who need its keys are refused.
    /// Without Lua there is none.
    pub fn is_busy(&self, _: &dyn TimeSource) -> bool {
        false
    }

    /// The refusal of whoever needs what such a script holds.
    pub(crate) fn busy_error(&self, _: usize, _: &dyn TimeSource) -> Error {
        Error::Busy
    }

    /// Refuses what is not to happen in the middle of such a script. Without Lua there is none.
    #[expect(clippy::unnecessary_wraps, reason = "with Lua it may refuse")]
    pub(crate) fn refuse_while_busy(&self, _: Ticks) -> Result<()> {
        Ok(())
    }

    /// Has each script that runs for long call this. Without Lua there is none.
    pub fn on_long_script(&self, _: fn() -> bool) {}

    /// Has those refused who need what such scripts hold.
    pub(crate) fn note_overdue_scripts(&self, _: Ticks) {}

    /// Refuses what may not run beside such scripts.
    pub(crate) fn admit_beside_scripts(&self, _: &Row, _: Ticks) -> Result<()> {
        Ok(())
    }

    /// Ends the scripts that run now. Without Lua there is none.
    pub fn stop_scripts(&self) {}
}

/// What the commands of scripts and functions do: they refuse.
macro_rules! refused {
    ($($name:ident)*) => {$(
        pub(in crate::scripting) fn $name(_: &mut crate::command::Call<'_, '_>) -> crate::error::Result<()> {
            let text =
                "ERR scripts need Lua, and this program was built without the feature `lua`";
            Err(crate::error::Error::text(text))
        }
    )*};
}

mod eval {
    refused! { debug eval eval_ro evalsha evalsha_ro exists flush kill load show }
}

pub(crate) mod functions {
    pub(crate) mod commands;

    mod call {
        refused! { fcall fcall_ro }
    }

    mod manage {
        refused! { delete dump flush kill list load restore stats }
    }
}
