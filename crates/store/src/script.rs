//! Lua programs that run inside the store.

use std::sync::OnceLock;

use sha1_smol::Sha1;

use crate::twin::eval;
use crate::{Capability, Command, Error, FromValue, Key, Store, ToArgument, Twin, TwinCall, Value};

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
    name: Option<&'static str>,
    twin: Option<Twin>,
    effects: Effects,
    digest: OnceLock<String>,
}

/// What becomes of a script's effects when it runs twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effects {
    /// They may happen twice.
    Plain,
    /// They are as if it had run once, and so is the answer.
    Repeatable,
    /// There are none.
    None,
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
            name: None,
            twin: None,
            effects: Effects::Plain,
            digest: OnceLock::new(),
        }
    }

    /// A script that changes nothing. It is asked again if its answer was lost, and may be answered by a
    /// replica: see [`ScriptCall::from_replica`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use larder_store::{Error, Keys, Script, Store};
    ///
    /// static SUM: Script = Script::read_only("return redis.call('GET', KEYS[1]) + ARGV[1]");
    ///
    /// # async fn example(store: Store) -> Result<(), Error> {
    /// let visits = Keys::new("shop", "visits");
    /// let call = SUM.on(&store).key(visits.of("home")).arg(3);
    /// let sum: i64 = call.from_replica().run().await?;
    /// # Ok(()) }
    /// ```
    pub const fn read_only(text: &'static str) -> Script {
        let mut script = Script::new(text);
        script.effects = Effects::None;
        script
    }

    /// The same script with a name for people who see it called: that of its file. Stores do not know
    /// it; an [`Observer`](crate::Observer) does.
    #[must_use]
    pub const fn named(mut self, name: &'static str) -> Script {
        self.name = Some(name);
        self
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// The same script, which does what it does once, however often it runs with the same keys and
    /// arguments, and answers each time what is true then. It is asked again if its answer was lost.
    #[must_use]
    pub const fn repeatable(mut self) -> Script {
        self.effects = Effects::Repeatable;
        self
    }

    /// Whether it changes nothing.
    pub fn is_read_only(&self) -> bool {
        self.effects == Effects::None
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

    /// Says of this call that it is harmless if it happens twice, as it carries a number by which the
    /// script knows it: it is asked again if its answer was lost.
    pub fn repeatable(mut self) -> Self {
        self.arguments = self.arguments.repeatable();
        self
    }

    /// Lets a replica answer, if the script is [read-only](Script::read_only) and the store has replicas
    /// and [`Capability::ReadOnlyScripts`]. Its data may be older.
    pub fn from_replica(mut self) -> Self {
        if self.script.is_read_only() {
            self.arguments = self.arguments.from_replica();
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
            mut arguments,
        } = self;
        if let Some(twin) = script.twin
            && let Some(native) = store.native()
        {
            let call = TwinCall {
                digest: script.digest(),
                name: script.name,
                twin,
                keys,
                arguments,
            };
            return native.run(call).await;
        }
        if script.effects != Effects::Plain {
            arguments = arguments.repeatable();
        }
        if let Some(name) = script.name
            && store.is_observed()
        {
            arguments.calls_script(name);
        }
        let [by_digest, by_text] = names(store, &mut arguments).await?;
        let command = |name, word| eval(name, word, &keys, &arguments);
        match store.call(command(by_digest, script.digest())).await {
            Err(error) if error.is_refusal("NOSCRIPT") => {
                store.call(command(by_text, script.text)).await
            }
            answer => answer,
        }
    }
}

/// The commands that run a script, by its digest and by its text. A replica takes those alone that say
/// that they only read; where there are none of these the master is asked.
async fn names(store: &Store, arguments: &mut Command) -> Result<[&'static str; 2], Error> {
    if arguments.delivery().from_replica {
        match store.capabilities().await? {
            all if all.has(Capability::ReadOnlyScripts) => return Ok(["EVALSHA_RO", "EVAL_RO"]),
            _ => arguments.keep_from_replicas(),
        }
    }
    Ok(["EVALSHA", "EVAL"])
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{Answer, Backend, Capabilities, Channels, Keys, Refusal, Subscription};

    /// A server that knows no script until it has seen its text, and remembers what it was sent.
    #[derive(Clone, Default)]
    struct Server {
        sent: Arc<Mutex<Vec<Command>>>,
        has_read_only: bool,
    }

    impl Backend for Server {
        fn call(&self, command: Command) -> Answer<'_, Value> {
            let is_known = !command.name().starts_with(b"EVALSHA");
            self.sent.lock().unwrap().push(command);
            Answer::ready(match is_known {
                true => Ok(Value::Int(1)),
                false => Err(Error::Refused(Refusal::new("NOSCRIPT No matching script."))),
            })
        }

        fn call_all(&self, _: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
            unreachable!("a script is called alone")
        }

        fn subscribe(&self, _: Channels) -> Answer<'_, Subscription> {
            unreachable!("a script does not listen")
        }

        fn capabilities(&self) -> Answer<'_, Capabilities> {
            Answer::ready(Ok(match self.has_read_only {
                true => Capabilities::EMPTY.with(Capability::ReadOnlyScripts),
                false => Capabilities::EMPTY,
            }))
        }
    }

    static PLAIN: Script = Script::new("return 1");
    static READ: Script = Script::read_only("return 1");
    static AGAIN: Script = Script::new("return 1").repeatable();

    /// The names of the commands that a call becomes, and whether they may be repeated and answered by a
    /// replica.
    fn sent(
        server: &Server,
        script: &'static Script,
        with: impl FnOnce(ScriptCall<'_>) -> ScriptCall<'_>,
    ) -> Vec<(String, bool, bool)> {
        let store = Store::new(server.clone());
        let call = with(script.on(&store).key(Keys::new("a", "b").of("c")));
        let mut run = Box::pin(call.run::<i64>());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while run.as_mut().poll(&mut context).is_pending() {}
        let sent = std::mem::take(&mut *server.sent.lock().unwrap());
        let shown = |command: Command| {
            let name = String::from_utf8_lossy(command.name()).into_owned();
            let delivery = command.delivery();
            (name, delivery.is_repeatable, delivery.from_replica)
        };
        sent.into_iter().map(shown).collect()
    }

    fn both(
        names: [&str; 2],
        is_repeatable: bool,
        from_replica: bool,
    ) -> Vec<(String, bool, bool)> {
        names
            .map(|name| (name.to_owned(), is_repeatable, from_replica))
            .to_vec()
    }

    const MASTER: [&str; 2] = ["EVALSHA", "EVAL"];
    const REPLICA: [&str; 2] = ["EVALSHA_RO", "EVAL_RO"];

    #[test]
    fn what_may_happen_twice_is_said_of_the_script_or_of_the_call() {
        let server = Server::default();
        assert_eq!(
            sent(&server, &PLAIN, |call| call),
            both(MASTER, false, false)
        );
        assert_eq!(
            sent(&server, &AGAIN, |call| call),
            both(MASTER, true, false)
        );
        assert_eq!(sent(&server, &READ, |call| call), both(MASTER, true, false));
        fn repeatable(call: ScriptCall<'_>) -> ScriptCall<'_> {
            call.repeatable()
        }
        let once = sent(&server, &PLAIN, repeatable);
        assert_eq!(once, both(MASTER, true, false));
    }

    #[test]
    fn a_replica_is_asked_only_for_what_reads_and_in_words_that_it_takes() {
        let mut server = Server::default();
        fn from_replica(call: ScriptCall<'_>) -> ScriptCall<'_> {
            call.from_replica()
        }
        assert_eq!(
            sent(&server, &READ, from_replica),
            both(MASTER, true, false)
        );
        server.has_read_only = true;
        assert_eq!(
            sent(&server, &READ, from_replica),
            both(REPLICA, true, true)
        );
        assert_eq!(
            sent(&server, &PLAIN, from_replica),
            both(MASTER, false, false)
        );
    }
}
