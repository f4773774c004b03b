// What Redis Insight asks of a server when it is opened, and what it makes of keys, with the client
// that it uses.

import { createRequire } from 'node:module';

import { end, part, say, sayOf, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { Redis } = require('ioredis');

const address = { host: process.env.HOST, port: Number(process.env.PORT) };
const redis = new Redis({ ...address, connectionName: 'redisinsight-common-1', showFriendlyErrorStack: true });

/// The fields of INFO that its overview shows.
const SHOWN = `redis_version role uptime_in_days connected_clients used_memory used_memory_human maxmemory
  maxmemory_policy total_commands_processed keyspace_hits keyspace_misses used_cpu_sys used_cpu_user
  instantaneous_ops_per_sec instantaneous_input_kbps instantaneous_output_kbps number_of_cached_scripts`.split(/\s+/);

const shown = (info) => SHOWN.filter((field) => new RegExp(`^${field}:.`, 'm').test(info));

part('a database is opened');
say('info', shown(await redis.info()));
say('name', await redis.client('GETNAME'));
await sayOf('cluster', redis.call('CLUSTER', 'INFO'));
await sayOf('modules', redis.call('MODULE', 'LIST'));
await sayOf('an index', redis.call('FT._LIST'));
say('databases', await redis.config('GET', 'databases'));
say('commands', (await redis.command()).length > 200);
await sayOf('who', redis.call('ACL', 'WHOAMI'));
say('sections', [shown(await redis.info('server', 'memory')), await redis.info('keyspace')]);

part('keys are listed');
await redis.pipeline().set('string', 'x', 'EX', 1000).hset('hash', 'f', 'v').rpush('list', 'a'.repeat(10_000)).sadd('set', 1)
  .zadd('zset', 1, 'm').xadd('stream', '1-1', 'f', 'v').exec();
say('size', await redis.dbsize());
const [, names] = await redis.scan('0', 'MATCH', '*', 'COUNT', 10_000);
names.sort();
const pipeline = redis.pipeline();
for (const name of names) pipeline.type(name).ttl(name).memory('USAGE', name, 'SAMPLES', '0').object('ENCODING', name);
const replies = (await pipeline.exec()).map(([error, reply]) => error ?? reply);
for (const [place, name] of names.entries()) {
  const [type, ttl, bytes, encoding] = replies.slice(4 * place);
  say(name, [type, ttl === -1 || ttl > 900, bytes > 0, encoding]);
}
say('by type', await redis.scan('0', 'MATCH', '*', 'COUNT', 10_000, 'TYPE', 'stream'));

part('tools');
await redis.config('SET', 'slowlog-log-slower-than', 0);
await redis.get('string');
await redis.config('SET', 'slowlog-log-slower-than', 10_000);
say('slow log', [(await redis.config('GET', 'slowlog-*')).sort(), await redis.slowlog('LEN') > 0]);
say('its entries', (await redis.slowlog('GET', 10)).filter(([, , , words]) => words[0] === 'get').map(([, , , words, , name]) => [words, name]));
const monitor = await new Redis(address).monitor();
const seen = [];
monitor.on('monitor', (_time, words) => seen.push(words));
await redis.get('string');
say('profiler', [await until(() => seen.length > 0), seen]);
monitor.disconnect();
say('channels', [await redis.pubsub('CHANNELS'), await redis.publish('none', 'x')]);
say('clients', (await redis.client('LIST')).split('\n').filter((line) => line.includes('name=redisinsight')).length);
await sayOf('JSON', redis.call('JSON.GET', 'string'));
end();
