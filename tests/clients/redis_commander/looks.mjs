// What redis-commander shows of a server: it is started, and asked over HTTP as its page does.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { end, part, say, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { Redis } = require('ioredis');

const { HOST, PORT } = process.env;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const redis = new Redis({ host: HOST, port: Number(PORT) });
await redis.set('user:1:name', 'Ann');
await redis.hset('user:1', { name: 'Ann', age: 30 });
await redis.rpush('queue', 'a', 'b', 'c');
await redis.sadd('tags', 'red');
await redis.zadd('board', 1, 'ann', 2, 'bob');
await redis.xadd('events', '1-1', 'kind', 'login');
await redis.set('fleeting', 'x', 'EX', 1000);

const port = await freePort();
const folder = await mkdtemp(join(tmpdir(), 'commander-'));
const commander = spawn(process.execPath, [
  join(process.env.LARDER_NODE_MODULES, 'redis-commander/bin/redis-commander.js'),
  '--redis-host', HOST, '--redis-port', PORT, '--redis-label', 'pantry',
  '--port', String(port), '--address', '127.0.0.1', '--nosave', '--noload',
], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, HOME: folder } });
process.on('exit', () => commander.kill('SIGKILL'));

const url = `http://127.0.0.1:${port}`;
const connection = `R:${HOST}:${PORT}:0`;
const ask = async (path, options) => (await fetch(url + path, options)).json();
const execute = async (cmd) =>
  (await ask(`/apiv2/exec/${connection}`, { method: 'POST', body: new URLSearchParams({ cmd }) })).data;

await until(() => ask('/apiv2/connection').catch(() => false));

part('the server');
const server = async () => (await ask('/apiv2/server/info')).data[0];
await until(async () => !(await server()).disabled);
const info = Object.fromEntries((await server()).info.map(({ key, value }) => [key, value]));
const FIELDS = ['Redis mode', 'Role', 'Connected clients', 'Used memory human', 'Uptime in seconds', 'Total commands processed', 'Maxmemory policy'];
say('info', FIELDS.map((field) => [field, field in info]));
say('keys', (await server()).info.filter(({ key }) => key === 'Databases' || key.startsWith('Keyspace')));

part('keys');
const { data: tree } = await ask(`/apiv2/keystree/${connection}`);
say('tree', tree.map(({ text, rel }) => [text, rel ?? 'folder']).sort());
for (const key of ['user:1:name', 'user:1', 'queue', 'tags', 'board', 'events', 'none']) {
  say(key, await ask(`/apiv2/key/${connection}/${key}`));
}
const { ttl, ...fleeting } = await ask(`/apiv2/key/${connection}/fleeting`);
say('fleeting', [fleeting, ttl > 990 && ttl <= 1000]);

part('commands');
say('set', await execute('SET made "by hand"'));
say('get', [await execute('GET made'), await redis.get('made')]);
say('scan', await execute('HSCAN user:1 0'));
say('wrong', await execute('LPUSH made 1'));
say('unknown', await execute('NOSUCH'));
end();
