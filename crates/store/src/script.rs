//! Lua programs that run inside the store.

use std::sync::OnceLock;

use sha1::{Digest, Sha1};

use crate::{Command, Error, FromValue, Key, Store, ToArgument, Value};

/// A Lua program that a store runs as one step that nothing interrupts.
///
/// It is made once, as a `static`, from a file of its own, and called by the digest of its text;
/// a store that does not know it yet is sent the text.
///
/// # Examples
///
/// ```no_run
/// use larder_store::{Error, Keys, Script, Store};
///
/// static ADD: Script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
///
/// # async fn example(store: Store) -> Result<(), Error> {
/// let visits = Keys::new("shop", "visits");
/// let total: i64 = ADD.on(&store).key(visits.of("home")).arg(3).run().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    digest: OnceLock<String>,
}

/// A call of a script that is being put together.
#[derive(Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct ScriptCall<'a> {
    script: &'a Script,
    store: &'a Store,
    keys: Vec<Key>,
    arguments: Command,
}

impl Script {
    /// A script with this text.
    pub const fn new(text: &'static str) -> Script {
        Script {
            text,
            digest: OnceLock::new(),
        }
    }

    /// The program.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The SHA-1 of the text in hexadecimal, by which stores know it.
    pub fn digest(&self) -> &str {
        self.digest
            .get_or_init(|| hex::encode(Sha1::digest(self.text)))
    }

    /// Begins a call.
    pub fn on<'a>(&'a self, store: &'a Store) -> ScriptCall<'a> {
        // The command that collects the arguments never leaves as it is; its name is of no account.
        ScriptCall {
            script: self,
            store,
            keys: Vec::new(),
            arguments: Command::new(""),
        }
    }
}

impl ScriptCall<'_> {
    /// Adds a key. All keys of a call must be keys of one thing (see [`Key::part`]).
    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl ToArgument) -> Self {
        self.arguments.push(argument);
        self
    }

    /// Adds these arguments.
    pub fn args<A: ToArgument>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self.arguments.push(argument);
        }
        self
    }

    /// Runs the script and reads its answer as a `T`.
    ///
    /// One round trip; two the first time that a store meets the script.
    ///
    /// # Errors
    ///
    /// Those of the store, [`Error::Invalid`] if the keys are not those of one thing, and
    /// [`Error::Unexpected`] if the answer is not a `T`.
    pub async fn run<T: FromValue>(self) -> Result<T, Error> {
        T::from_value(self.call().await?)
    }

    async fn call(&self) -> Result<Value, Error> {
        if let Some(stray) = self.keys.iter().find(|key| key.tag() != self.keys[0].tag()) {
            let reason = format!("{stray} and {} are in different hash slots", self.keys[0]);
            return Err(Error::invalid(reason));
        }
        match self
            .store
            .call(self.command("EVALSHA", self.script.digest()))
            .await
        {
            Err(error) if error.is_refusal("NOSCRIPT") => {
                self.store
                    .call(self.command("EVAL", self.script.text))
                    .await
            }
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str) -> Command {
        Command::new(name)
            .arg(script)
            .arg(self.keys.len())
            .args(&self.keys)
            .args(self.arguments.arguments().iter().skip(1))
    }
}
