//! The texts of scripts, which are needed to refuse what they write.

use std::collections::HashMap;

use larder_store::{Command, Error, Refusal};
use parking_lot::Mutex;
use sha1_smol::Sha1;

use crate::refuse::Refuse;

/// The scripts that came by, with the digests by which they are called.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    texts: Mutex<HashMap<Vec<u8>, String>>,
    /// The clients that were told to send the text of a script whose call was to be refused.
    owed: Mutex<HashMap<Box<str>, Refuse>>,
}

impl Scripts {
    /// Learns the scripts that come by. Gives what a call of one is refused with, and its place, if the
    /// call by digest before it was to be.
    pub(crate) fn learn(&self, client: &str, commands: &[Command]) -> Option<(usize, Refuse)> {
        let mut owed = None;
        for (place, command) in commands.iter().enumerate() {
            if !command.name().eq_ignore_ascii_case(b"EVAL") {
                continue;
            }
            let text = command.arguments().get(1).unwrap_or_default();
            let digest = Sha1::from(text).hexdigest().into_bytes();
            let text = String::from_utf8_lossy(text).into_owned();
            self.texts.lock().insert(digest, text);
            owed = owed.or_else(|| Some((place, self.owed.lock().remove(client)?)));
        }
        owed
    }

    /// The same call with the writes of its script refused.
    ///
    /// # Errors
    ///
    /// What is answered instead: the refusal, if the script can't be changed, or that its text is
    /// wanted, if it is not known. That call is then refused as this one would have been.
    pub(crate) fn guarded(
        &self,
        client: &str,
        command: Command,
        refuse: Refuse,
    ) -> Result<Command, Error> {
        let name = command.name().to_ascii_uppercase();
        let script = command.arguments().get(1).unwrap_or_default();
        let text = match &name[..] {
            b"EVAL" => String::from_utf8_lossy(script).into_owned(),
            b"EVALSHA" => match self.texts.lock().get(&script.to_ascii_lowercase()) {
                Some(text) => text.clone(),
                None => {
                    self.owed.lock().insert(client.into(), refuse);
                    let wanted = "NOSCRIPT No matching script. Please use EVAL.";
                    return Err(Error::Refused(Refusal::new(wanted)));
                }
            },
            _ => return Ok(command),
        };
        let guarded = refuse.guard(&text).ok_or_else(|| refuse.error())?;
        Ok(Command::new("EVAL")
            .arg(guarded)
            .args(command.arguments().iter().skip(2)))
    }
}
