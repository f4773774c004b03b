//! Libraries of functions. None changes what it keeps in its locals: Larder has a machine a thread, and each has
//! its own. None registers two names that differ in capitals alone: both servers take them, and end when they
//! let the library go.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// What functions do.
const BODIES: &[&str] = &[
    "return redis.call('GET', keys[1] or 's1')",
    "return redis.call('SET', keys[1] or 's1', args[1] or 'x')",
    "return redis.pcall('INCR', keys[1] or 's1')",
    "return {#keys, #args}",
    "return args",
    "return keys",
    "return redis.call(unpack(args))",
    "return redis.pcall(unpack(args))",
    "return {err = 'MINE went wrong'}",
    "return redis.status_reply('fine')",
    "error('mine')",
    "error({err = 'MINE table'})",
    "redis.setresp(3) return redis.call('HGETALL', keys[1] or 'h1')",
    "redis.setresp(3) return {map = {a = 1}}",
    "return calls",
    "nonsense = 1",
    "return redis.register_function('f9', function() end)",
    "return shared()",
    "return redis.sha1hex(args[1] or '')",
    "return tostring(nonsense)",
    "redis.call('RPUSH', 'l1', 'a') redis.call('NONSENSE')",
    "return 1.9",
    "return nil",
    "return true",
];

/// The flags of functions.
const FLAGS: &[&str] = &[
    "'no-writes'",
    "'no-writes'",
    "'allow-oom'",
    "'allow-stale'",
    "'no-cluster'",
    "'allow-cross-slot-keys'",
    "'no-writes', 'no-writes'",
    "'no-writes', 'allow-oom', 'allow-stale'",
    "'nonsense'",
    "1",
    "{}",
    "",
];

/// Libraries with something wrong in them.
const WRONG: &[&str] = &[
    "",
    "abc",
    "#!lua",
    "#!lua\n",
    "#!lua name=\n",
    "#!lua name=lib1",
    "#!lua name=lib1\n",
    "#!js name=lib1\nabc",
    "#!LUA name=lib1\nredis.register_function('f1', function() end)",
    "#!lua name=lib1 name=lib2\nredis.register_function('f1', function() end)",
    "#!lua nonsense=1\nredis.register_function('f1', function() end)",
    "#!lua nonsense\nredis.register_function('f1', function() end)",
    "#!lua name=lib-1\nredis.register_function('f1', function() end)",
    "#!lua name=\"lib1\"\nredis.register_function('f1', function() return 1 end)",
    "#!lua name='lib1' \nredis.register_function('f1', function() return 1 end)",
    "#!lua name=\"lib1\nredis.register_function('f1', function() end)",
    "#! lua name=lib1\nredis.register_function('f1', function() end)",
    "#!lua\tname=lib1\nredis.register_function('f1', function() return 2 end)",
    "#!lua name=lib\0\nredis.register_function('f1', function() end)",
    "#!lua name=lib1\nsyntax error (",
    "#!lua name=lib1\nerror('mine')",
    "#!lua name=lib1\nerror({err = 'MINE'})",
    "#!lua name=lib1\nreturn 1",
    "#!lua name=lib1\nredis.call('GET', 's1')",
    "#!lua name=lib1\nnonsense()",
    "#!lua name=lib1\nglobal = 1",
    "#!lua name=lib1\nredis.register_function()",
    "#!lua name=lib1\nredis.register_function('f1')",
    "#!lua name=lib1\nredis.register_function(1, 2)",
    "#!lua name=lib1\nredis.register_function('f1', 1)",
    "#!lua name=lib1\nredis.register_function('f1', function() end, 1)",
    "#!lua name=lib1\nredis.register_function(function() end, 'f1')",
    "#!lua name=lib1\nredis.register_function{}",
    "#!lua name=lib1\nredis.register_function{function_name = 'f1'}",
    "#!lua name=lib1\nredis.register_function{callback = function() end}",
    "#!lua name=lib1\nredis.register_function{function_name = 1, callback = function() end}",
    "#!lua name=lib1\nredis.register_function{function_name = 'f1', callback = 1}",
    "#!lua name=lib1\nredis.register_function{function_name = 'f1', callback = function() end, nonsense = 1}",
    "#!lua name=lib1\nredis.register_function{function_name = 'f1', callback = function() end, flags = 1}",
    "#!lua name=lib1\nredis.register_function{function_name = 'f1', callback = function() end, description = 1}",
    "#!lua name=lib1\nredis.register_function('a b', function() end)",
    "#!lua name=lib1\nredis.register_function('', function() end)",
    "#!lua name=lib1\nredis.register_function('f1', function() end) redis.register_function('f1', function() end)",
];

/// The code of a library, mostly one that can be loaded.
pub(super) fn code(random: &mut StdRng) -> Vec<u8> {
    match random.random_bool(0.7) {
        true => library(random),
        false => WRONG.choose(random).copied().unwrap_or_default().into(),
    }
}

/// The code of a library of one to three functions, whose names others may have as well.
pub(super) fn library(random: &mut StdRng) -> Vec<u8> {
    let number = random.random_range(1..=3);
    let mut code = format!(
        "#!lua name=lib{number}\nlocal calls = 0\nlocal function shared() return calls + 1 end\n"
    );
    for name in 1..=random.random_range(1..=3) {
        // Most libraries have names of their own.
        let name = match random.random_bool(0.9) {
            true => name + (number - 1) * 2,
            false => name,
        };
        let body = BODIES.choose(random).copied().unwrap_or_default();
        let function = format!("function(keys, args) {body} end");
        code += &match random.random_range(0..3) {
            0 => format!("redis.register_function('f{name}', {function})\n"),
            1 => format!(
                "redis.register_function{{function_name = 'f{name}', callback = {function}, flags = {{{}}}}}\n",
                FLAGS.choose(random).copied().unwrap_or_default()
            ),
            _ => format!(
                "redis.register_function{{function_name = 'f{name}', callback = {function}, description = 'of {name}', flags = {{{}}}}}\n",
                FLAGS.choose(random).copied().unwrap_or_default()
            ),
        };
    }
    code.into_bytes()
}
