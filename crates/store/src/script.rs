//! Lua programs that run inside the store.

use std::sync::OnceLock;

use sha1_smol::Sha1;

use crate::twin::eval;
use crate::{Command, Error, FromValue, Key, Store, ToArgument, Twin, TwinCall, Value};

/// A Lua program that a store runs as one step that nothing interrupts.
///
/// It is made once, as a `static`, from a file of its own, and called by the digest of its text;
/// a store that does not know it yet is sent the text. A store inside the process runs its [`Twin`], if
/// it has one: the same program in Rust, in a fraction of the time and without Lua.
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
///
/// With a twin:
///
/// ```
/// use larder_store::{Key, Refusal, Script, Step, Value, Words};
///
/// static RAISE: Script = Script::new(
///     "local n = tonumber(redis.call('GET', KEYS[1]) or 0)
///      if n >= tonumber(ARGV[1]) then return 0 end
///      redis.call('SET', KEYS[1], ARGV[1])
///      return 1",
/// )
/// .with_twin(raise);
///
/// fn raise(step: &mut Step<'_>, keys: &[Key], words: Words<'_>) -> Result<Value, Refusal> {
///     let to = words.number(0)?;
///     if step.get_int(&keys[0])?.unwrap_or(0) >= to {
///         return Ok(Value::Int(0));
///     }
///     step.set_int(&keys[0], to, larder_store::Expires::Never)?;
///     Ok(Value::Int(1))
/// }
/// ```
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    twin: Option<Twin>,
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
            twin: None,
            digest: OnceLock::new(),
        }
    }

    /// The same script with a twin: what does the same in Rust.
    #[must_use]
    pub const fn with_twin(mut self, twin: Twin) -> Script {
        self.twin = Some(twin);
        self
    }

    /// What does the same in Rust, if it has that.
    pub fn twin(&self) -> Option<Twin> {
        self.twin
    }

    /// The program.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The SHA-1 of the text in hexadecimal, by which stores know it.
    pub fn digest(&self) -> &str {
        self.digest
            .get_or_init(|| Sha1::from(self.text).hexdigest())
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

    async fn call(self) -> Result<Value, Error> {
        if let Some(stray) = self.keys.iter().find(|key| key.tag() != self.keys[0].tag()) {
            let reason = format!("{stray} and {} are in different hash slots", self.keys[0]);
            return Err(Error::invalid(reason));
        }
        let ScriptCall {
            script,
            store,
            keys,
            arguments,
        } = self;
        if let Some(twin) = script.twin
            && let Some(native) = store.native()
        {
            let call = TwinCall {
                digest: script.digest(),
                twin,
                keys,
                arguments,
            };
            return native.run(call).await;
        }
        let command = |name, word| eval(name, word, &keys, &arguments);
        match store.call(command("EVALSHA", script.digest())).await {
            Err(error) if error.is_refusal("NOSCRIPT") => {
                store.call(command("EVAL", script.text)).await
            }
            answer => answer,
        }
    }
}
