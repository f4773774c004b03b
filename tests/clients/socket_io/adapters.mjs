// Rooms of Socket.IO that lie on two nodes, with each of its adapters: messages over PUBLISH, over
// SPUBLISH, and over a stream.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

import { end, part, say, sayOf, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { Redis } = require('ioredis');
const { createClient } = require('redis');
const { Server } = require('socket.io');
const { io: connectTo } = require('socket.io-client');
const { createAdapter, createShardedAdapter } = require('@socket.io/redis-adapter');
const { createAdapter: createStreamsAdapter } = require('@socket.io/redis-streams-adapter');
const { Emitter } = require('@socket.io/redis-emitter');

const address = { host: process.env.HOST, port: Number(process.env.PORT) };
const byIoredis = () => new Redis(address);
const byNodeRedis = () => createClient({ socket: address }).connect();

/// The adapters, and what a node of each needs. The first two are heard by the emitter.
const KINDS = {
  'over PUBLISH, by ioredis': async () => createAdapter(byIoredis(), byIoredis()),
  'over PUBLISH, by node-redis': async () => createAdapter(await byNodeRedis(), await byNodeRedis()),
  'over SPUBLISH, by ioredis': async () => createShardedAdapter(byIoredis(), byIoredis()),
  'over SPUBLISH, by node-redis': async () =>
    createShardedAdapter(await byNodeRedis(), await byNodeRedis(), { subscriptionMode: 'dynamic-private' }),
  'over a stream, by ioredis': async () => createStreamsAdapter(byIoredis(), { readCount: 10 }),
  'over a stream, by node-redis': async () => createStreamsAdapter(await byNodeRedis()),
};

/// A node with its own HTTP server, on which a message `join` takes a socket into a room.
async function node(name, adapter) {
  const http = createServer();
  const io = new Server(http, { adapter, serveClient: false });
  io.on('connection', (socket) => {
    socket.data.name = socket.handshake.auth.name;
    socket.on('join', async (room, done) => done(await socket.join(room)));
    socket.on('say', (room, text) => socket.to(room).emit('said', `${socket.data.name}: ${text}`));
  });
  io.on('asked', (question, answer) => answer(`${name} heard ${question}`));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return { name, io, url: `http://127.0.0.1:${http.address().port}` };
}

/// A client that notes what it hears.
async function client(name, url) {
  const socket = connectTo(url, { auth: { name }, transports: ['websocket'], reconnection: false });
  const heard = [];
  const reachedBy = new Set();
  socket.onAny((event, ...values) => {
    if (event === 'reached') return void reachedBy.add(values[0]);
    const answer = typeof values.at(-1) === 'function' ? values.pop() : undefined;
    heard.push(`${event} ${values.join(' ')}`.trim());
    answer?.(`${name} answers`);
  });
  await once(socket, 'connect');
  return { name, socket, heard, reachedBy };
}

/// Calls until a client on each node is reached by the other: a stream is read from where its reader
/// begins, so that what was said before is heard by nobody.
const reachEachOther = (nodes, clients) => until(() => {
  const isReached = nodes.every(({ name }) => clients.every(({ reachedBy }) => reachedBy.has(name)));
  if (!isReached) for (const { name, io } of nodes) io.emit('reached', name);
  return isReached;
});

/// What each of these has heard, in order.
const heardBy = (clients) => clients.map(({ name, heard }) => `${name}: ${heard.join(', ')}`);

async function rooms(kind, makeAdapter) {
  part(kind);
  const nodes = [await node('first', await makeAdapter()), await node('second', await makeAdapter())];
  const [first, second] = nodes.map(({ io }) => io);
  say('each knows of the other', await until(async () => {
    const counts = await Promise.all([first, second].map((io) => io.of('/').adapter.serverCount()));
    return counts.every((count) => count === 2);
  }));

  const ann = await client('ann', nodes[0].url);
  const bob = await client('bob', nodes[1].url);
  const cid = await client('cid', nodes[1].url);
  const all = [ann, bob, cid];
  await reachEachOther(nodes, all);
  const count = (expected) => until(() => all.reduce((sum, { heard }) => sum + heard.length, 0) === expected);

  await Promise.all([ann, bob].map(({ socket }) => socket.emitWithAck('join', 'kitchen')));
  say('seen from the first', (await first.fetchSockets()).map(({ data }) => data.name).sort());
  say('in the room', (await second.in('kitchen').fetchSockets()).map(({ data }) => data.name).sort());

  first.emit('news', 'to all');
  await count(3);
  second.to('kitchen').emit('news', 'to the kitchen');
  await count(5);
  ann.socket.emit('say', 'kitchen', 'ünï');
  await count(6);
  first.except('kitchen').emit('news', 'to the others', Buffer.from('bytes'));
  await count(7);
  second.local.emit('news', 'to this node');
  await count(9);
  say('heard', heardBy(all));

  const answers = await first.timeout(10_000).to('kitchen').emitWithAck('ready?');
  say('answered', answers.sort());
  await sayOf('asked of the other node', first.serverSideEmitWithAck('asked', 'how are you'));

  first.in('kitchen').socketsJoin('cellar');
  say('joined', await until(async () => (await second.in('cellar').fetchSockets()).length === 2));
  second.socketsLeave('kitchen');
  say('left', await until(async () => (await first.in('kitchen').fetchSockets()).length === 0));
  first.in('cellar').disconnectSockets(true);
  say('put out', await until(() => !ann.socket.connected && !bob.socket.connected && cid.socket.connected));

  if (kind.startsWith('over PUBLISH')) {
    new Emitter(byIoredis()).emit('news', 'from outside');
    say('heard from outside', await until(() => cid.heard.at(-1) === 'news from outside'));
  }
  cid.socket.disconnect();
  for (const { io } of nodes) io.close();
}

/// A client that was away is told what it missed, though it comes back to the other node.
async function recovered() {
  part('recovered over a stream');
  const nodes = [];
  for (let number = 0; number < 2; number++) {
    const redis = byIoredis();
    const http = createServer();
    const io = new Server(http, {
      adapter: createStreamsAdapter(redis, { streamName: 'recovered' }),
      connectionStateRecovery: {},
      serveClient: false,
    });
    io.on('connection', (socket) => socket.join('room'));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    nodes.push({ redis, io, url: `http://127.0.0.1:${http.address().port}` });
  }
  const heard = [];
  let isReached = false;
  const socket = connectTo(nodes[0].url, { transports: ['websocket'], reconnection: false });
  socket.on('reached', () => (isReached = true));
  socket.on('news', (number) => heard.push(number));
  await once(socket, 'connect');
  await until(() => isReached || (nodes[1].io.to('room').emit('reached'), false));
  nodes[1].io.to('room').emit('news', 1);
  await until(() => heard.length === 1);

  const gone = once(nodes[0].io.of('/').sockets.get(socket.id), 'disconnect');
  socket.io.engine.close();
  await gone;
  for (const number of [2, 3]) nodes[0].io.to('room').emit('news', number);
  await nodes[0].redis.ping(); // what it has sent before, the session among it, is there now
  socket.io.uri = nodes[1].url;
  socket.connect();
  await once(socket, 'connect');
  say('recovered', [socket.recovered, await until(() => heard.length === 3), heard]);
}

for (const [kind, makeAdapter] of Object.entries(KINDS)) await rooms(kind, makeAdapter);
await recovered();
end();
