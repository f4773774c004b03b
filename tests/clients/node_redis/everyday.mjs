// What programs do with node-redis, over the protocol that the first argument names (2 or 3).

import { createRequire } from 'node:module';

import { end, part, say, sayOf, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { createClient, createClientPool, defineScript } = require('redis');

const RESP = Number(process.argv[2]);
const socket = { host: process.env.HOST, port: Number(process.env.PORT) };

const add = defineScript({
  SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key, by) {
    parser.pushKey(key);
    parser.push(String(by));
  },
  transformReply: (reply) => reply,
});
const client = await createClient({ socket, RESP, name: 'everyday', scripts: { add } }).connect();

async function all(iterator) {
  const found = [];
  for await (const some of iterator) found.push(...(Array.isArray(some) ? some : [some]));
  return found;
}

part('connections');
say('name', await client.clientGetName());
const { name, db, flags } = await client.clientInfo();
say('info', { name, db, flags });
const third = await createClient({ socket, RESP, database: 3 }).connect();
await third.set('key', 'in three');
say('database', [await third.get('key'), await client.get('key')]);
await sayOf('a database that is not there', createClient({ socket: { ...socket, reconnectStrategy: false }, database: 99 }).on('error', () => {}).connect());
const locked = createClient({ socket: { ...socket, reconnectStrategy: false }, RESP, password: 'secret' });
await sayOf('a password where there is none', locked.on('error', () => {}).connect().then(() => 'let in'));
await sayOf('an unknown command', client.sendCommand(['NOSUCH', 'a']));

part('values');
say('strings', [await client.set('s', 'x', { EX: 100 }), await client.set('s', 'y', { NX: true }), await client.getEx('s', { PERSIST: true }), await client.ttl('s')]);
say('many', [await client.mSet({ a: '1', b: 'é' }), await client.mGet(['a', 'none', 'b'])]);
say('hashes', [await client.hSet('h', { one: 1, two: 2 }), await client.hGetAll('h'), await client.hmGet('h', ['one', 'none']), await client.hRandFieldCountWithValues('h', 9)]);
say('sets', [await client.sAdd('x', ['1', '2', '3']), await client.sMembers('x'), await client.smIsMember('x', ['1', '9'])]);
say('scores', [await client.zAdd('z', [{ score: 1.5, value: 'a' }, { score: Infinity, value: 'b' }]), await client.zRangeWithScores('z', 0, -1), await client.zScore('z', 'b'), await client.zmScore('z', ['a', 'none']), await client.zPopMax('z')]);
say('ranges', [await client.zRange('z', '-inf', '(9', { BY: 'SCORE' }), await client.zRank('z', 'a')]);
say('streams', [await client.xAdd('st', '1-1', { f: 'v' }), await client.xRange('st', '-', '+'), await client.xRead({ key: 'st', id: '0' }), await client.xRead({ key: 'none', id: '0' })]);
say('groups', [await client.xGroupCreate('st', 'g', '0'), await client.xReadGroup('g', 'c', { key: 'st', id: '>' }), await client.xAutoClaim('st', 'g', 'd', 0, '0'), await client.xPending('st', 'g'), await client.xAck('st', 'g', '1-1')]);
say('places', [await client.geoAdd('geo', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }), await client.geoPos('geo', ['Palermo', 'none']), await client.geoSearchWith('geo', 'Palermo', { radius: 1, unit: 'km' }, ['WITHDIST'])]);
say('bits', [await client.setBit('bits', 7, 1), await client.bitCount('bits'), await client.bitField('bits', [{ operation: 'INCRBY', encoding: 'u8', offset: 0, increment: 9 }])]);
say('counted', [await client.pfAdd('hll', ['a', 'b', 'c']), await client.pfCount('hll')]);
await sayOf('another type', client.lPush('s', '1'));
await sayOf('no number', client.incr('s'));

part('scans');
await Promise.all(Array.from({ length: 1500 }, (_, i) => client.hSet('large', `f${i}`, i).then(() => client.set(`scan:${i}`, i))));
say('keys', new Set(await all(client.scanIterator({ MATCH: 'scan:*', COUNT: 100 }))).size);
say('by type', (await all(client.scanIterator({ TYPE: 'zset' }))).sort());
say('fields', (await all(client.hScanIterator('large', { MATCH: 'f1*' }))).length);
say('members', (await all(client.sScanIterator('x'))).sort());

part('transactions');
say('done', await client.multi().set('m', '1').incr('m').zRangeWithScores('z', 0, -1).exec());
await sayOf('one fails', client.multi().set('m', 'x').incr('m').exec().catch(({ replies }) => replies));
await sayOf('one cannot be queued', client.multi().set('m', 'y').addCommand(['NOSUCH']).exec());
const pool = await createClientPool({ socket, RESP }, { minimum: 2, maximum: 4 }).connect();
await client.set('stock', 10);
async function take() {
  for (;;) {
    try {
      return await pool.execute(async (own) => {
        await own.watch('stock');
        const left = Number(await own.get('stock'));
        if (left === 0) {
          await own.unwatch();
          return false;
        }
        await own.multi().set('stock', left - 1).exec();
        return true;
      });
    } catch (error) {
      if (error.constructor.name !== 'WatchError') throw error;
    }
  }
}
const taken = await Promise.all(Array.from({ length: 16 }, take));
say('of sixteen', [taken.filter(Boolean).length, await client.get('stock')]);

part('scripts');
say('by digest', [await client.add('sc', 2), await client.add('sc', 3), await client.scriptFlush(), await client.add('sc', 4)]);
say('eval', await client.eval('return {1, 3.9, ARGV[1], false, {KEYS[1]}}', { keys: ['k'], arguments: ['é'] }));
const LIBRARY = "#!lua name=shop\nredis.register_function{function_name='total', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}";
say('functions', [await client.functionLoad(LIBRARY, { REPLACE: true }), await client.fCall('total', { keys: ['sc'], arguments: [] }), await client.fCallRo('total', { keys: ['sc'], arguments: [] })]);
say('libraries', await client.functionList());

part('messages');
const listener = await createClient({ socket, RESP }).connect();
const seen = [];
await listener.subscribe('news', (message, channel) => seen.push(['news', channel, message]));
await listener.pSubscribe('n*', (message, channel) => seen.push(['n*', channel, message]));
await listener.sSubscribe('shard', (message, channel) => seen.push(['shard', channel, message]));
say('published', [await client.publish('news', 'one'), await client.sPublish('shard', 'é')]);
say('arrived', [await until(() => seen.length === 3), seen]);
say('seen from outside', [await client.pubSubChannels(), await client.pubSubNumSub(['news']), await client.pubSubNumPat(), await client.pubSubShardChannels()]);
await Promise.all([listener.unsubscribe(), listener.pUnsubscribe(), listener.sUnsubscribe()]);
say('nobody listens', await until(async () => (await client.publish('news', 'x')) === 0));

part('waiting');
const waiter = await createClient({ socket, RESP }).connect();
const popped = waiter.blPop(['q1', 'q2'], 10);
await until(async () => /blocked_clients:1/.test(await client.info('clients')));
await client.rPush('q2', 'job');
say('popped', await popped);
say('nobody came', await waiter.bzPopMin('none', 0.02));

if (RESP === 3) {
  part('a cache in the client');
  const near = await createClient({ socket, RESP, clientSideCache: { ttl: 0, maxEntries: 10, recordStats: true } }).connect();
  await client.set('cached', 'old');
  await near.get('cached');
  say('read twice', [await near.get('cached'), await near.get('cached')]);
  await client.set('cached', 'new');
  say('told of the change', await until(async () => (await near.get('cached')) === 'new'));
}

part('the end');
say('kept nothing', [await client.flushAll(), await client.dbSize()]);
end();
