//! Scripts beside their twins.

use std::fmt;
use std::time::Duration;

use larder_embedded::{Clock, Config, Embedded, ManualClock};
use larder_store::{Command, Error, Key, Script, ScriptCall, Store, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::without_twins::WithoutTwins;

/// A step of a comparison.
#[derive(Clone)]
pub enum Turn {
    /// A script is called.
    Script {
        /// Which.
        script: &'static Script,
        /// On which keys.
        keys: Vec<Key>,
        /// With which arguments.
        words: Vec<Vec<u8>>,
    },
    /// Somebody else runs a command.
    Command(Command),
    /// Time passes.
    Pass(Duration),
    /// The clock is set back.
    SetBack(Duration),
}

impl Turn {
    /// A call of a script on these keys, with these words.
    pub fn of(script: &'static Script, keys: &[Key], words: &[&str]) -> Turn {
        Turn::Script {
            script,
            keys: keys.to_vec(),
            words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        }
    }

    /// A command on this key.
    pub fn command(name: &str, key: &Key, words: &[&str]) -> Turn {
        Turn::Command(Command::new(name).arg(key).args(words))
    }
}

impl fmt::Debug for Turn {
    /// As short as can be: a program is a list of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Turn::Script {
                script,
                keys,
                words,
            } => {
                let mut about = script.text().lines().filter(|line| line.starts_with("-- "));
                let about = about.next_back().unwrap_or_default();
                let words = words.iter().map(|word| String::from_utf8_lossy(word));
                let words = words.collect::<Vec<_>>();
                write!(f, "{} {about:?} {keys:?} {words:?}", script.digest())
            }
            Turn::Command(command) => write!(f, "{command}"),
            Turn::Pass(time) => write!(f, "{time:?} pass"),
            Turn::SetBack(time) => write!(f, "set back by {time:?}"),
        }
    }
}

/// One of these, drawn at random.
pub fn one_of<T: Copy>(random: &mut StdRng, all: &[T]) -> T {
    all[random.random_range(0..all.len())]
}

/// How many turns a program has.
const TURNS: usize = 60;

/// Runs random programs on two memory stores, one of which runs scripts in Lua and the other their
/// twins, and compares each answer, and what the stores hold in the end.
///
/// `turn` draws a turn; a seed always gives the same program. Two refusals are the same if their codes
/// are: Lua adds where in the script they came about.
///
/// # Panics
///
/// If there is a difference, with the seed and the program up to it, or if a script has no twin.
pub fn compare_twins(seeds: std::ops::Range<u64>, mut turn: impl FnMut(&mut StdRng) -> Turn) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without sockets needs nothing");
    let mut sides = Sides::open();
    for seed in seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let program: Vec<Turn> = (0..TURNS).map(|_| turn(&mut random)).collect();
        if let Err(difference) = runtime.block_on(compare(&mut sides, &program)) {
            panic!("seed {seed}: {difference}");
        }
    }
}

async fn compare(sides: &mut Sides, program: &[Turn]) -> Result<(), String> {
    let emptied = sides.take(&Turn::Command(Command::new("FLUSHALL"))).await;
    assert_eq!(emptied, [Ok(Value::ok()), Ok(Value::ok())]);
    for (number, turn) in program.iter().enumerate() {
        let [in_lua, in_rust] = sides.take(turn).await;
        if !is_same(&in_lua, &in_rust) {
            let before = &program[..=number];
            return Err(format!(
                "Lua {in_lua:?}, its twin {in_rust:?} after {before:#?}"
            ));
        }
    }
    let (by_lua, by_twin) = (contents(&sides.lua).await, contents(&sides.twin).await);
    match by_lua == by_twin {
        true => Ok(()),
        false => Err(format!(
            "Lua leaves {by_lua:#?}, its twin {by_twin:#?} after {program:#?}"
        )),
    }
}

/// Two stores on one clock.
struct Sides {
    clock: ManualClock,
    homes: [Embedded; 2],
    /// Where scripts run in Lua.
    lua: Store,
    /// Where their twins run.
    twin: Store,
}

impl Sides {
    fn open() -> Sides {
        let clock = Clock::manual();
        let open = || {
            let config = Config::default().clock(clock.clone());
            Embedded::open_still(config, [7; 32])
        };
        let homes = [open(), open()];
        Sides {
            lua: Store::new(WithoutTwins(homes[0].clone())),
            twin: Store::new(homes[1].clone()),
            clock,
            homes,
        }
    }

    async fn take(&mut self, turn: &Turn) -> [Result<Value, Error>; 2] {
        match turn {
            Turn::Script {
                script,
                keys,
                words,
            } => {
                assert!(script.twin().is_some(), "no twin: {}", script.text());
                let run = async |store: &Store| {
                    let call = keys.iter().cloned().fold(script.on(store), ScriptCall::key);
                    call.args(words).run().await
                };
                [run(&self.lua).await, run(&self.twin).await]
            }
            Turn::Command(command) => [
                self.lua.call(command.clone()).await,
                self.twin.call(command.clone()).await,
            ],
            Turn::Pass(time) => {
                self.clock.advance(*time);
                // What has expired leaves now.
                self.homes.each_ref().map(|home| {
                    home.pass(Duration::ZERO);
                    Ok(Value::Null)
                })
            }
            Turn::SetBack(time) => {
                self.clock.set_back(*time);
                [Ok(Value::Null), Ok(Value::Null)]
            }
        }
    }
}

fn is_same(lua: &Result<Value, Error>, twin: &Result<Value, Error>) -> bool {
    match (lua, twin) {
        (Err(Error::Refused(lua)), Err(Error::Refused(twin))) => lua.code() == twin.code(),
        _ => lua == twin,
    }
}

/// Everything that a store holds: each key with its type, its expiry and its content.
async fn contents(store: &Store) -> Vec<String> {
    let keys: Vec<String> = asked(store, &["KEYS", "*"]).await;
    let mut contents = Vec::new();
    for key in &keys {
        let kind: String = asked(store, &["TYPE", key]).await;
        let expires_ms: i64 = asked(store, &["PEXPIRETIME", key]).await;
        let words: &[&str] = match &*kind {
            "string" => &["GET", key],
            "hash" => &["HGETALL", key],
            "list" => &["LRANGE", key, "0", "-1"],
            "set" => &["SMEMBERS", key],
            "zset" => &["ZRANGE", key, "0", "-1", "WITHSCORES"],
            _ => &["XINFO", "STREAM", key, "FULL", "COUNT", "0"],
        };
        let content = sorted(asked(store, words).await);
        contents.push(format!("{key} {expires_ms} {content:?}"));
    }
    contents.sort();
    contents
}

async fn asked<T: larder_store::FromValue>(store: &Store, words: &[&str]) -> T {
    let command = Command::new(words[0]).args(&words[1..]);
    store.run(command).await.expect("a memory store answers")
}

/// A value whose order, where it has none, is that of its texts.
fn sorted(value: Value) -> Value {
    match value {
        Value::Map(mut pairs) => {
            pairs.sort_by_key(|pair| format!("{pair:?}"));
            Value::Map(pairs)
        }
        Value::Set(mut items) => {
            items.sort_by_key(|item| format!("{item:?}"));
            Value::Set(items)
        }
        value => value,
    }
}
