//! What the engine asks of the process around it: parameters that are not its own and the configuration
//! file, for CONFIG, and that it ends, for SHUTDOWN.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::parameters::{PARAMETERS, Parameter, Value};
use super::rewrite::{Entry, rewritten};
use super::shutdown::Ending;
use crate::acl::UserFile;
use crate::engine::Engine;
use crate::sync::{Mutex, RwLock};

/// Makes a change that has been looked at, and can't fail any more.
pub type Change = Box<dyn FnOnce() + Send>;

/// Who keeps parameters that are not the engine's own, and changes them at run time: of TLS, or of the
/// log.
pub trait Keeper: Send + Sync + 'static {
    /// The names of the parameters.
    fn names(&self) -> &'static [&'static str];

    /// The value that one of them has, as CONFIG GET shows it.
    fn get(&self, name: &str) -> String;

    /// Looks whether these of them may have these values, all of them together, and answers with what
    /// gives them to them.
    ///
    /// # Errors
    ///
    /// Why they may not; nothing has changed then.
    fn prepare(&self, changes: &[(&'static str, &[u8])]) -> Result<Change, String>;
}

/// What the process around the engine has given it.
#[derive(Default)]
pub(crate) struct Outside {
    keepers: RwLock<Vec<Arc<dyn Keeper>>>,
    file: RwLock<Option<ConfigFile>>,
    ending: OnceLock<Ending>,
    /// Whether SHUTDOWN has said that the data is to be saved at the end, or is not.
    saves_at_end: Mutex<Option<bool>>,
}

/// The configuration file.
struct ConfigFile {
    text: Box<dyn UserFile>,
    /// What it would say of each parameter at the start.
    at_start: Vec<Vec<Vec<u8>>>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

impl Outside {
    pub(super) fn keeper_of(&self, name: &str) -> Option<Arc<dyn Keeper>> {
        let keepers = self.keepers.read();
        let mut keepers = keepers.iter();
        keepers
            .find(|keeper| keeper.names().contains(&name))
            .map(Arc::clone)
    }

    /// How the end of the process begins, if SHUTDOWN may begin it.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// What SHUTDOWN has said about the data, if it has.
    pub(crate) fn saves_at_end(&self) -> Option<bool> {
        *self.saves_at_end.lock()
    }

    pub(super) fn set_saves_at_end(&self, saves: bool) {
        *self.saves_at_end.lock() = Some(saves);
    }

    /// The first one stays.
    pub(super) fn set_ending(&self, ending: Ending) {
        let _ = self.ending.set(ending);
    }

    /// The path of the configuration file, or nothing.
    pub(super) fn file_name(&self) -> String {
        let file = self.file.read();
        file.as_ref()
            .map_or_else(String::new, |file| file.text.name())
    }
}

/// Why there can be no save points.
const NOTHING_KEPT: &str = "nothing is kept on disk by this store";

/// What is wrong with the value of a parameter.
type Refusal = (&'static Parameter, String);

impl Engine {
    /// Has CONFIG ask this one for the parameters that it keeps.
    pub fn keep_parameters(&self, keeper: Arc<dyn Keeper>) {
        self.config.outside.keepers.write().push(keeper);
    }

    /// Gives a parameter a value, as CONFIG SET does.
    ///
    /// # Errors
    ///
    /// If there is no such parameter, or it can't have this value.
    pub fn configure(&self, name: &str, value: &[u8]) -> Result<(), String> {
        let parameter = Parameter::find(name.as_bytes());
        let parameter = parameter.ok_or_else(|| format!("there is no parameter {name}"))?;
        let change = self.change_of(&[(parameter, value)]);
        change.map_err(|(parameter, why)| format!("{}: {why}", parameter.name))?();
        Ok(())
    }

    /// What gives these parameters these values, all of them.
    ///
    /// # Errors
    ///
    /// The first parameter that can't have its value.
    pub(super) fn change_of(
        &self,
        pairs: &[(&'static Parameter, &[u8])],
    ) -> Result<impl FnOnce() + use<'_>, Refusal> {
        let (mut values, mut kept): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
        for (parameter, value) in pairs {
            match parameter.read(value).map_err(|why| (*parameter, why))? {
                Value::Hosted => kept.push((*parameter, *value)),
                Value::Points(points) if !points.is_empty() && !self.saving.is_possible() => {
                    return Err((*parameter, NOTHING_KEPT.to_owned()));
                }
                value => values.push((*parameter, value)),
            }
        }
        let changes = self.changes_of_kept(&kept)?;
        Ok(move || {
            changes.into_iter().for_each(|change| change());
            for (parameter, value) in values {
                parameter.set(value, self);
            }
            // What a smaller bound lets go of is told at once, not at the next tick.
            self.bound_tracked();
        })
    }

    /// What gives parameters their values that others keep: one change for each of those.
    fn changes_of_kept(
        &self,
        kept: &[(&'static Parameter, &[u8])],
    ) -> Result<Vec<Change>, Refusal> {
        for (parameter, value) in kept {
            let is_kept = self.config.outside.keeper_of(parameter.name).is_some();
            let is_so = parameter.takes_what_it_is() && parameter.get(self) == *value;
            if !is_kept && !is_so {
                return Err((*parameter, super::parameters::IMMUTABLE.to_owned()));
            }
        }
        let keepers = self.config.outside.keepers.read().clone();
        let mut changes = Vec::new();
        for keeper in keepers {
            let mut own = kept
                .iter()
                .filter(|(row, _)| keeper.names().contains(&row.name));
            let Some(first) = own.clone().next() else {
                continue;
            };
            let own: Vec<_> = own
                .by_ref()
                .map(|(row, value)| (row.name, *value))
                .collect();
            changes.push(keeper.prepare(&own).map_err(|why| (first.0, why))?);
        }
        Ok(changes)
    }

    // --- the file ------------------------------------------------------------------------------

    /// Has CONFIG REWRITE write this file. What parameters are now is what they are without it having
    /// been written.
    pub fn set_config_file(&self, text: Box<dyn UserFile>) {
        let at_start = PARAMETERS.iter().map(|parameter| self.lines_of(parameter));
        let at_start = at_start.collect();
        *self.config.outside.file.write() = Some(ConfigFile { text, at_start });
    }

    /// Writes the configuration file: see [`super::rewrite`].
    ///
    /// # Errors
    ///
    /// What is answered then.
    pub(super) fn rewrite_config(&self) -> Result<(), String> {
        let file = self.config.outside.file.read();
        let file = file.as_ref();
        let file = file.ok_or("ERR The server is running without a config file")?;
        let failed = |error: std::io::Error| format!("ERR Rewriting config file: {error}");
        let old = file.text.read().map_err(failed)?;
        let all = PARAMETERS.iter().zip(&file.at_start);
        let entries = all.filter_map(|(parameter, at_start)| {
            let lines = self.lines_of(parameter);
            let is_changed = lines != *at_start;
            let (name, alias) = (parameter.name, parameter.alias);
            (!lines.is_empty()).then_some(Entry {
                name,
                alias,
                lines,
                is_changed,
            })
        });
        let new = rewritten(&old, &entries.collect::<Vec<_>>());
        file.text.replace(&new).map_err(failed)
    }

    /// The lines that a file has of a parameter; none if it stays as the file or the command line says.
    fn lines_of(&self, parameter: &Parameter) -> Vec<Vec<u8>> {
        if parameter.name == "user" {
            return self.lines_of_users();
        }
        match self.config.outside.keeper_of(parameter.name).is_some() || parameter.is_own() {
            true => parameter.lines(self),
            false => Vec::new(),
        }
    }
}
