// What programs do with ioredis beyond the services of the sketch.

import { createRequire } from 'node:module';

import { part, say, sayOf, until } from './transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { Redis } = require('ioredis');

const address = { host: process.env.HOST, port: Number(process.env.PORT) };
const redis = new Redis(address);

part('connections');
say('named', await redis.client('SETNAME', 'everyday'));
say('name', await redis.client('GETNAME'));
say('echo', await redis.echo('日本'));
const second = new Redis({ ...address, db: 3, connectionName: 'third', keyPrefix: 'p:' });
await second.set('key', 'in three');
say('prefix and database', [await second.get('key'), await redis.get('p:key')]);
await redis.select(3);
say('selected', await redis.get('p:key'));
await redis.select(0);
await sayOf('a database that is not there', redis.select(99));
await sayOf('an unknown command', redis.call('NOSUCH', 'a', 'b'));
await sayOf('too few words', redis.call('GET'));
await sayOf('too many words', redis.call('GET', 'a', 'b'));
const wrong = new Redis({ ...address, password: 'secret', lazyConnect: true, retryStrategy: null });
wrong.on('error', () => {});
await sayOf('a password where there is none', wrong.connect().then(() => wrong.ping()));
wrong.disconnect();

part('strings');
say('set', await redis.set('s', 'hello'));
say('options', [
  await redis.set('s', 'x', 'NX'),
  await redis.set('s', 'there', 'XX', 'GET'),
  await redis.set('t', 'there', 'EX', 100, 'GET'),
]);
say('bytes', await redis.getBuffer('s'));
await redis.set('binary', Buffer.from([0, 255, 13, 10, 128]));
say('binary', [await redis.getBuffer('binary'), await redis.strlen('binary')]);
say('ranges', [await redis.getrange('s', 0, 1), await redis.getrange('s', -3, -1), await redis.setrange('s', 3, 'XX')]);
say('append', [await redis.append('s', '!'), await redis.get('s')]);
say('numbers', [await redis.incr('n'), await redis.incrby('n', 41), await redis.decr('n'), await redis.incrbyfloat('n', 0.5)]);
await sayOf('no number', redis.incr('s'));
await sayOf('no integer', redis.incr('n'));
await sayOf('too large', redis.set('max', '9223372036854775807').then(() => redis.incr('max')));
say('many', [await redis.mset({ a: 1, b: 2 }), await redis.mget('a', 'b', 'c'), await redis.msetnx('b', 1, 'c', 2)]);
say('get and', [await redis.getset('a', 9), await redis.getdel('a'), await redis.getex('b', 'EX', 50), await redis.ttl('b')]);

part('keys');
say('types', [await redis.type('s'), await redis.type('none')]);
say('expiry', [
  await redis.expire('s', 100), await redis.ttl('s'), await redis.expire('s', 50, 'GT'), await redis.expire('s', 200, 'NX'),
  await redis.persist('s'), await redis.ttl('s'), await redis.ttl('none'), await redis.pexpireat('s', 1), await redis.exists('s'),
]);
say('renamed', [await redis.rename('t', 'u'), await redis.renamenx('u', 'b'), await redis.exists('t', 'u', 'u')]);
await sayOf('rename what is not there', redis.rename('none', 'x'));
say('copied', [await redis.copy('u', 'v'), await redis.copy('u', 'v'), await redis.get('v')]);
say('unlinked', await redis.unlink('u', 'v', 'none'));
for (let i = 0; i < 1500; i++) redis.set(`scan:${i}`, i);
const found = new Set();
for await (const keys of redis.scanStream({ match: 'scan:*', count: 100 })) keys.forEach((key) => found.add(key));
say('scanned', found.size);
say('keys', (await redis.keys('scan:149?')).sort());

part('hashes');
say('set', [await redis.hset('h', { one: 1, two: 'zwei', three: '' }), await redis.hset('h', 'one', 11, 'four', 4)]);
say('read', [await redis.hget('h', 'one'), await redis.hmget('h', 'one', 'none', 'two'), await redis.hgetall('h'), await redis.hlen('h')]);
say('all of none', await redis.hgetall('none'));
say('numbers', [await redis.hincrby('h', 'one', 5), await redis.hincrbyfloat('h', 'f', 1.25)]);
await sayOf('no number', redis.hincrby('h', 'two', 1));
say('more', [await redis.hsetnx('h', 'one', 0), await redis.hexists('h', 'two'), await redis.hstrlen('h', 'two'), await redis.hdel('h', 'one', 'none')]);
const fields = new Set();
await redis.hset('large', Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`f${i}`, i])));
for await (const page of redis.hscanStream('large')) page.filter((_, i) => i % 2 === 0).forEach((field) => fields.add(field));
say('scanned', fields.size);

part('lists');
say('pushed', [await redis.rpush('l', 'a', 'b', 'c', 'b'), await redis.lpush('l', 'z'), await redis.lpushx('none', 1)]);
say('read', [await redis.lrange('l', 0, -1), await redis.lindex('l', -1), await redis.llen('l'), await redis.lpos('l', 'b', 'RANK', -1)]);
say('changed', [await redis.lset('l', 0, 'y'), await redis.linsert('l', 'BEFORE', 'a', 'x'), await redis.lrem('l', -1, 'b'), await redis.ltrim('l', 0, 3)]);
await sayOf('out of range', redis.lset('l', 99, 'x'));
say('moved', [await redis.rpoplpush('l', 'm'), await redis.lmove('l', 'm', 'LEFT', 'RIGHT'), await redis.lrange('m', 0, -1)]);
say('popped', [await redis.lpop('l'), await redis.rpop('l', 5), await redis.lpop('l'), await redis.exists('l')]);
const waiting = second.duplicate();
const popped = waiting.blpop('later', 'p', 5);
say('a waiter', await until(async () => (await redis.client('LIST')).includes('cmd=blpop')));
await second.rpush('later', 'arrived');
say('woken', await popped);
say('nobody came', await waiting.brpop('none', 0.02));
await waiting.quit();

part('sets');
say('added', [await redis.sadd('x', 1, 2, 3, 3), await redis.sadd('y', 3, 'four'), await redis.sadd('x', 1)]);
const sorted = (list) => [...list].sort();
say('combined', [sorted(await redis.sunion('x', 'y')), await redis.sinter('x', 'y'), sorted(await redis.sdiff('x', 'y')), await redis.sdiffstore('z', 'x', 'y')]);
say('members', [sorted(await redis.smembers('x')), await redis.sismember('x', 2), await redis.smismember('x', 2, 9), await redis.scard('x')]);
say('moved', [await redis.smove('x', 'y', 1), await redis.smove('x', 'y', 1), await redis.srem('x', 2, 9), (await redis.spop('z', 9)).length]);

part('sorted sets');
say('added', [await redis.zadd('zs', 1, 'a', 2, 'b', 2, 'c'), await redis.zadd('zs', 'XX', 'GT', 'CH', 0, 'a', 5, 'b'), await redis.zadd('zs', 'INCR', 0.5, 'a')]);
say('read', [await redis.zrange('zs', 0, -1, 'WITHSCORES'), await redis.zrevrangebyscore('zs', '+inf', '(2'), await redis.zscore('zs', 'a'), await redis.zmscore('zs', 'a', 'x')]);
say('ranks', [await redis.zrank('zs', 'b'), await redis.zrevrank('zs', 'b'), await redis.zcount('zs', 2, '(5'), await redis.zrange('zs', 5, 1, 'BYSCORE', 'REV', 'LIMIT', 0, 2)]);
say('by bytes', [await redis.zadd('lex', 0, 'a', 0, 'b', 0, 'c'), await redis.zrangebylex('lex', '[a', '(c'), await redis.zlexcount('lex', '-', '+')]);
say('combined', [await redis.zunionstore('zu', 2, 'zs', 'lex', 'WEIGHTS', 2, 1), await redis.zrange('zu', 0, -1, 'WITHSCORES'), await redis.zinter(2, 'zs', 'lex', 'WITHSCORES')]);
say('popped', [await redis.zpopmin('zs'), await redis.zpopmax('zs', 2), await redis.exists('zs')]);
await sayOf('no number', redis.zadd('zs', 'x', 'a'));
await sayOf('options at odds', redis.zadd('zs', 'NX', 'XX', 1, 'a'));

part('pipelines and transactions');
say('pipeline', await redis.pipeline().set('k', 1).incr('k').hget('k', 'f').get('k').exec());
say('transaction', await redis.multi().set('k', 1).incr('k').lpush('k', 'x').get('k').exec());
await sayOf('a transaction that cannot be queued', redis.multi().set('k', 5).call('NOSUCH').exec());
say('nothing was done', await redis.get('k'));
await redis.watch('k');
await second.duplicate({ keyPrefix: '', db: 0 }).set('k', 'changed');
say('a watched key changed', await redis.multi().set('k', 'mine').exec());
await redis.watch('k');
say('a watched key did not change', await redis.multi().set('k', 'mine').exec());
await sayOf('exec alone', redis.call('EXEC'));
await sayOf('discard alone', redis.call('DISCARD'));
const piped = new Redis({ ...address, enableAutoPipelining: true });
say('pipelined by itself', await Promise.all(Array.from({ length: 50 }, (_, i) => piped.incrby('auto', i))));
await piped.quit();

part('scripts');
redis.defineCommand('addTo', { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
say('defined', [await redis.addTo('script', 5), await redis.addTo('script', 6)]);
say('values', await redis.eval("return {1, 2.9, 'three', true, false, {4, {5}}, redis.status_reply('FINE')}", 0));
say('cut at nil', await redis.eval('return {1, nil, 3}', 0));
await sayOf('an error', redis.eval("return redis.error_reply('MINE it is')", 0));
await sayOf('an error of a command', redis.eval("return redis.call('INCR', KEYS[1])", 1, 'binary'));
say('an error that is caught', await redis.eval("local r = redis.pcall('INCR', KEYS[1]) return r.err ~= nil", 1, 'binary'));
await sayOf('no such script', redis.evalsha('f'.repeat(40), 0));
const sha = await redis.script('LOAD', 'return ARGV[1]');
say('loaded', [sha, await redis.evalsha(sha, 0, 'hi'), await redis.script('EXISTS', sha, 'f'.repeat(40))]);
say('json', await redis.eval("return cjson.encode({a = cjson.decode(ARGV[1]).list[2]})", 0, '{"list":[1,"two"]}'));

part('messages');
const listener = new Redis(address);
const got = [];
listener.on('message', (...message) => got.push(message));
listener.on('pmessageBuffer', (pattern, channel, message) => got.push([pattern, channel, message].map(String)));
say('subscribed', [await listener.subscribe('c1', 'c2'), await listener.psubscribe('c?')]);
await sayOf('a command while subscribed', listener.get('k'));
say('published', [await redis.publish('c1', 'one'), await redis.publish('c3', 'three'), await redis.publish('d', '')]);
say('arrived', [await until(() => got.length === 3), got]);
say('numbers', await redis.pubsub('NUMSUB', 'c1', 'd'));
say('unsubscribed', [await listener.unsubscribe('c1'), await listener.punsubscribe('c?'), await listener.unsubscribe()]);
say('an ordinary connection again', await listener.exists('k'));
await listener.quit();

part('streams');
say('added', await redis.xadd('st', '5-1', 'a', 1, 'b', 2));
await sayOf('an id that is not greater', redis.xadd('st', '5-1', 'a', 1));
await sayOf('0-0', redis.xadd('st', '0-0', 'a', 1));
say('ids', [await redis.xadd('st', '5-*', 'c', 3), await redis.xadd('st', 'NOMKSTREAM', 'MAXLEN', 2, '9', 'd', 4), await redis.xadd('none', 'NOMKSTREAM', '*', 'a', 1)]);
say('ranges', [await redis.xrange('st', '-', '+'), await redis.xrevrange('st', '+', '(5-2', 'COUNT', 1), await redis.xlen('st')]);
say('group', [await redis.xgroup('CREATE', 'st', 'g', 0), await redis.xreadgroup('GROUP', 'g', 'c', 'COUNT', 1, 'STREAMS', 'st', '>')]);
await sayOf('the group again', redis.xgroup('CREATE', 'st', 'g', 0));
say('claimed', [await redis.xclaim('st', 'g', 'd', 0, '5-2', 'JUSTID'), await redis.xautoclaim('st', 'g', 'e', 0, 0, 'COUNT', 5, 'JUSTID'), await redis.xreadgroup('GROUP', 'g', 'e', 'STREAMS', 'st', 0)]);
say('ended', [await redis.xack('st', 'g', '5-2'), await redis.xdel('st', '9-0'), await redis.xtrim('st', 'MAXLEN', 0), await redis.xgroup('DESTROY', 'st', 'g')]);

part('the end');
say('flushed', [await redis.flushdb(), await redis.dbsize()]);
await second.quit();
say('quit', await redis.quit());
process.exit(0);
