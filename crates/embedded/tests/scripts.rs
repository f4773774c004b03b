//! What scripts may rely on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

use larder_embedded::{Config, Embedded};
use larder_store::{Command, Error, Store, Value};

fn open() -> Store {
    Store::new(Embedded::open(Config::default()).unwrap())
}

async fn eval(store: &Store, script: &str, keys: &[&str], args: &[&str]) -> Result<Value, Error> {
    let command = Command::new("EVAL")
        .arg(script)
        .arg(keys.len())
        .args(keys)
        .args(args);
    store.call(command).await
}

fn text(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Refused(refusal)) => refusal.text().to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_script_reads_and_writes_its_keys() {
    let store = open();
    let script = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])";
    let got = eval(&store, script, &["a"], &["1"]).await;
    assert_eq!(got, Ok(Value::Bytes("1".into())));
}

#[tokio::test]
async fn values_are_converted_as_redis_converts_them() {
    let store = open();
    let script = "return {1, 2.9, 'x', true, false, {ok='fine'}, {3, nil, 4}}";
    let wanted = Value::Array(vec![
        Value::Int(1),
        Value::Int(2),
        Value::Bytes("x".into()),
        Value::Int(1),
        Value::Null,
        Value::Status("fine".into()),
        Value::Array(vec![Value::Int(3)]),
    ]);
    assert_eq!(eval(&store, script, &[], &[]).await, Ok(wanted));
}

#[tokio::test]
async fn errors_say_what_and_where() {
    let store = open();
    store
        .call(Command::new("SET").arg("s").arg("x"))
        .await
        .unwrap();
    for (script, wanted) in [
        (
            "return redis.call('INCR', 's')",
            "ERR value is not an integer or out of range script: ",
        ),
        (
            "\nreturn nothing.there",
            "ERR user_script:2: Script attempted to access nonexistent global variable 'nothing' script: ",
        ),
        (
            "return redis.call('nope')",
            "ERR Unknown Redis command called from script script: ",
        ),
        (
            "return redis.call('SET', 's')",
            "ERR Wrong number of args calling Redis command from script script: ",
        ),
        (
            "x = 1",
            "ERR user_script:1: Attempt to modify a readonly table script: ",
        ),
        (
            "redis.call = 1",
            "ERR user_script:1: Attempt to modify a readonly table script: ",
        ),
        (
            "return {",
            "ERR Error compiling script (new function): user_script:1: ",
        ),
    ] {
        let got = text(eval(&store, script, &[], &[]).await);
        assert!(got.starts_with(wanted), "{script}: {got}");
    }
}

#[tokio::test]
async fn the_pcall_of_redis_gives_an_error_as_a_table_and_that_of_lua_as_a_text() {
    let store = open();
    let script = "local r = redis.pcall('nope') return r.err";
    let got = eval(&store, script, &[], &[]).await;
    assert_eq!(
        got,
        Ok(Value::Bytes(
            "ERR Unknown Redis command called from script".into()
        ))
    );
    let script = "local ok, e = pcall(redis.call, 'nope') return {tostring(ok), e}";
    let got: (String, String) = store
        .run(Command::new("EVAL").arg(script).arg(0))
        .await
        .unwrap();
    assert_eq!(got.0, "false");
    assert_eq!(got.1, "ERR Unknown Redis command called from script");
}

/// Whatever shards the keys happen to lie in, and whatever else the caller holds.
#[tokio::test]
async fn a_bounded_script_is_refused_other_keys() {
    let store = open();
    let script = "-- larder: touches only its KEYS\nreturn redis.call('SET', ARGV[1], 1)";
    for key in ["a", "b", "c"] {
        let got = eval(&store, script, &["a", "b", "c"], &[key]).await;
        assert_eq!(got, Ok(Value::ok()), "{key}");
    }
    for other in (0..500).map(|number| number.to_string()) {
        let got = text(eval(&store, script, &["a", "b", "c"], &[&other]).await);
        assert!(got.contains("not among its KEYS"), "{got}");
    }

    let script = "-- larder: touches only its KEYS\nreturn redis.call('DBSIZE')";
    let got = text(eval(&store, script, &["a"], &[]).await);
    assert!(got.contains("not among its KEYS"), "{got}");
}

#[tokio::test]
async fn json_comes_back_as_it_went() {
    let store = open();
    let script = "local t = cjson.decode(ARGV[1]) t.n = t.n + 1 return cjson.encode({t.n, t.s, cjson.null, {}})";
    let got = eval(&store, script, &[], &[r#"{"n": 1.5, "s": "a/b\n"}"#]).await;
    assert_eq!(got, Ok(Value::Bytes(r#"[2.5,"a\/b\n",null,{}]"#.into())));
}

#[tokio::test]
async fn a_script_is_known_by_its_digest_until_it_is_flushed() {
    let store = open();
    let sha: String = store
        .run(Command::new("SCRIPT").arg("LOAD").arg("return 7"))
        .await
        .unwrap();
    let evalsha = Command::new("EVALSHA").arg(&sha).arg(0);
    assert_eq!(store.call(evalsha.clone()).await, Ok(Value::Int(7)));
    store
        .call(Command::new("SCRIPT").arg("FLUSH"))
        .await
        .unwrap();
    assert!(
        store
            .call(evalsha)
            .await
            .unwrap_err()
            .is_refusal("NOSCRIPT")
    );
}

#[tokio::test]
async fn scripts_leave_no_traces_for_other_scripts() {
    let store = open();
    for script in [
        "rawset(_G, 'leak', 1)",
        "getmetatable('').__index.leak = 1",
        "string.leak = 1",
        "setmetatable(_G, {})",
        "setmetatable(redis, nil)",
        "return loadstring(string.dump(function() end))()",
        "return loadstring('\\27Lua')()",
        "loadstring('leak = 1')()",
        "setfenv(1, {})",
        "getfenv(0).leak = 1",
    ] {
        let got = eval(&store, script, &[], &[]).await;
        assert!(got.is_err(), "{script}: {got:?}");
    }
    assert!(eval(&store, "return leak", &[], &[]).await.is_err());
}

#[tokio::test]
async fn scripts_on_several_threads_do_not_disturb_each_other() {
    let store = open();
    let script = "-- larder: touches only its KEYS\nreturn redis.call('INCR', KEYS[1])";
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let store = store.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for _ in 0..1000 {
                        eval(&store, script, &[&format!("k{}", thread % 2)], &[])
                            .await
                            .unwrap();
                    }
                });
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(
        eval(&store, "return redis.call('GET', 'k0')", &["k0"], &[]).await,
        Ok(Value::Bytes("2000".into()))
    );
}
