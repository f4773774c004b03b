// Drives the services of the sketch and prints what they do.

import {
  CacheService,
  LeaderboardService,
  PubSubService,
  RateLimiter,
  SessionService,
  StreamService,
  acquireLock,
  checkRedisHealth,
  closeRedis,
  createRateLimitMiddleware,
  getRedis,
  releaseLock,
  startStreamWorker,
} from './services.mjs';
import { part, pause, say, sayOf, until } from './transcript.mjs';

async function client() {
  part('client');
  say('health', await checkRedisHealth());
  say('one connection for all', getRedis() === getRedis());
}

async function cache() {
  part('cache');
  const cache = new CacheService();
  const short = new CacheService({ ttl: 100, prefix: 'short:' });
  const redis = getRedis();
  const ttl = async (key, of) => {
    const left = await redis.ttl(key);
    return left > of - 5 && left <= of;
  };

  say('get what is not there', await cache.get('user:1'));
  await cache.set('user:1', { name: 'Ann', tags: ['a', 'é', '日本'] });
  say('get', await cache.get('user:1'));
  say('default ttl is an hour', await ttl('cache:user:1', 3600));
  await cache.set('user:2', { name: 'Bob' }, 60);
  say('ttl as asked for', await ttl('cache:user:2', 60));
  await short.set('user:1', [1, 2, 3]);
  say('ttl of the service', await ttl('short:user:1', 100));
  say('prefixes are apart', [await cache.get('user:1'), await short.get('user:1')]);
  await cache.set('empty', '');
  say('an empty string', await cache.get('empty'));
  await cache.set('nothing', null);
  say('null', await cache.get('nothing'));
  await sayOf('a negative ttl', cache.set('bad', 1, -1));
  await sayOf('a ttl that is no integer', cache.set('bad', 1, 1.5));
  await sayOf('a ttl that is too long', cache.set('bad', 1, 1e16));
  await redis.set('cache:broken', '{');
  await sayOf('what is no JSON', cache.get('broken'));
  await redis.lpush('cache:list', 'x');
  await sayOf('what is no string', cache.get('list'));

  let loads = 0;
  const load = async () => ({ loaded: ++loads });
  say('get or set, first', await cache.getOrSet('lazy', load));
  say('get or set, then', await cache.getOrSet('lazy', load));
  say('ten at once', await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('lazy', load))));
  await sayOf('a load that fails', cache.getOrSet('fails', async () => { throw new Error('no'); }));

  await cache.mset([
    { key: 'a', value: 1 },
    { key: 'b', value: { two: 2 }, ttl: 30 },
    { key: 'c', value: '三' },
  ]);
  say('mget', await cache.mget(['a', 'b', 'missing', 'c']));
  say('ttl of one of many', await ttl('cache:b', 30));
  await sayOf('mget of none', cache.mget([]));
  await cache.delete('a');
  say('deleted', await cache.get('a'));

  say('invalidate user:*', await cache.invalidatePattern('user:*'));
  say('again', await cache.invalidatePattern('user:*'));
  say('the other prefix is untouched', await short.get('user:1'));
  await cache.mset([{ key: 'h[1]', value: 1 }, { key: 'h1', value: 2 }, { key: 'hx', value: 3 }]);
  say('invalidate h[1]', await cache.invalidatePattern('h[1]'));
  say('invalidate h?', await cache.invalidatePattern('h?'));
  say('what is left', await cache.mget(['h[1]', 'h1', 'hx']));

  await cache.setWithTags('p:1', 'first', ['products', 'sale']);
  await cache.setWithTags('p:2', 'second', ['products'], 50);
  await cache.setWithTags('p:3', 'third', []);
  say('tag', (await redis.smembers('tag:products')).sort());
  await cache.invalidateByTags(['sale', 'unknown']);
  say('after sale', await cache.mget(['p:1', 'p:2', 'p:3']));
  say('the other tag still names it', (await redis.smembers('tag:products')).sort());
  await cache.invalidateByTags(['products']);
  say('after products', await cache.mget(['p:1', 'p:2', 'p:3']));
  say('the tag is gone', await redis.exists('tag:products'));
  await cache.invalidateByTags([]);
}

async function sessions() {
  part('sessions');
  const sessions = new SessionService();
  const redis = getRedis();
  const week = 86400 * 7;
  const isAboutAWeek = async (key) => {
    const left = await redis.ttl(key);
    return left > week - 5 && left <= week;
  };

  const first = await sessions.create('ann', { theme: 'dark', list: [1, { two: null }] });
  const second = await sessions.create('ann');
  const other = await sessions.create('bob', { admin: true });
  say('created', first);
  say('loaded', await sessions.get(first.id));
  say('as it was created', JSON.stringify(await sessions.get(first.id)) === JSON.stringify(first));
  say('fields', (await redis.hkeys(`session:${first.id}`)).sort());
  say('ttls', [await isAboutAWeek(`session:${first.id}`), await isAboutAWeek('user_sessions:ann')]);
  say('unknown', await sessions.get('unknown'));
  await sayOf('update', sessions.update(first.id, { theme: 'light' }));
  say('updated', (await sessions.get(first.id)).data);
  await sayOf('update what is not there', sessions.update('unknown', {}));
  await redis.expire(`session:${first.id}`, 10);
  await sayOf('refresh', sessions.refresh(first.id));
  say('refreshed', await isAboutAWeek(`session:${first.id}`));
  say('later than before', (await sessions.get(first.id)).expiresAt >= first.expiresAt);
  await sayOf('refresh what is not there', sessions.refresh('unknown'));
  const ids = (list) => list.map((session) => session.id).sort();
  say('all of ann', (await sessions.getUserSessions('ann')).length);
  say('they are hers', `${ids(await sessions.getUserSessions('ann'))}` === `${[first.id, second.id].sort()}`);
  await sessions.destroy(first.id);
  say('destroyed', await sessions.get(first.id));
  await sessions.destroy(first.id);
  say('one is left', ids(await sessions.getUserSessions('ann')).length);
  say('destroy all', await sessions.destroyAllUserSessions('ann'));
  say('none is left', await sessions.getUserSessions('ann'));
  say('destroy all again', await sessions.destroyAllUserSessions('ann'));
  say('bob is untouched', (await sessions.get(other.id)).data);
  await redis.expire(`session:${other.id}`, 0);
  say('expired', [await sessions.get(other.id), await sessions.getUserSessions('bob')]);
  say('its id is left in the list', (await redis.smembers('user_sessions:bob')).length);
}

async function rateLimits() {
  part('rate limits');
  const limiter = new RateLimiter();
  const redis = getRedis();
  const shown = ({ allowed, remaining, retryAfter }) => ({
    allowed,
    remaining,
    retryAfter: retryAfter === undefined ? undefined : retryAfter > 0 && retryAfter <= 3600_000,
  });

  // Three checks must fall into one window of an hour.
  if (Date.now() % 3600_000 > 3595_000) await pause(5100);
  const hour = { points: 2, duration: 3600 };
  for (let i = 1; i <= 3; i++) say(`fixed ${i}`, shown(await limiter.checkFixedWindow('ip', hour)));
  const [key] = await redis.keys('ratelimit:fixed:ip:*');
  say('its key expires', (await redis.ttl(key)) > 3590);
  say('someone else', shown(await limiter.checkFixedWindow('other', hour)));

  const minute = { points: 2, duration: 60 };
  for (let i = 1; i <= 4; i++) {
    say(`sliding ${i}`, shown(await limiter.checkSlidingWindow('ip', minute)));
    await pause(3);
  }
  say('the denied are not kept', await redis.zcard('ratelimit:sliding:ip'));
  say('it expires', (await redis.ttl('ratelimit:sliding:ip')) > 55);
  const blink = { points: 1, duration: 1 };
  say('a short window', shown(await limiter.checkSlidingWindow('blink', blink)));
  say('is full', shown(await limiter.checkSlidingWindow('blink', { ...blink, duration: 5 })));

  const bucket = { capacity: 3, refillRate: 0.001 };
  for (let i = 1; i <= 4; i++) say(`bucket ${i}`, shown(await limiter.checkTokenBucket('ip', bucket)));
  say('its fields', (await redis.hkeys('ratelimit:bucket:ip')).sort());
  say('it expires', (await redis.ttl('ratelimit:bucket:ip')) > 3590);
  const quick = { capacity: 1, refillRate: 50 };
  say('quick', shown(await limiter.checkTokenBucket('quick', quick)));
  await pause(60);
  say('refilled', shown(await limiter.checkTokenBucket('quick', quick)));
  await sayOf('a bucket that is no number', limiter.checkTokenBucket('bad', { capacity: 'x', refillRate: 1 }));

  const middleware = createRateLimitMiddleware({ points: 1, duration: 60 });
  for (let i = 1; i <= 2; i++) {
    const response = fakeResponse();
    await middleware({ ip: '127.0.0.1' }, response, () => { response.isNext = true; });
    say(`middleware ${i}`, response);
    await pause(3);
  }
}

function fakeResponse() {
  return {
    headers: {},
    setHeader(name, value) { this.headers[name] = value; },
    status(code) { this.code = code; return this; },
    json(body) { this.body = body; return this; },
  };
}

async function pubsub() {
  part('pub/sub');
  const pubsub = new PubSubService();
  const seen = [];
  const note = (who) => (message, channel) => { seen.push([who, channel, message]); };

  const unsubscribe = await pubsub.subscribe('user:events', note('one'));
  const second = await pubsub.subscribe('user:events', note('two'));
  const pattern = await pubsub.psubscribe('user:*', note('pattern'));
  await pubsub.subscribe('broken', () => { throw new Error('a handler that fails'); });
  const event = { type: 'user.created', userId: '123', timestamp: 0 };
  say('receivers', await pubsub.publish('user:events', event));
  say('receivers of the pattern', await pubsub.publish('user:other', { 'naïve': '日本' }));
  say('receivers of nothing', await pubsub.publish('elsewhere', 1));
  say('a failing handler', await pubsub.publish('broken', 1));
  say('all arrived', await until(() => seen.length === 4));
  say('seen', byHandler(seen.splice(0)));

  unsubscribe();
  await pubsub.publish('user:events', 'to one of two');
  say('all arrived', await until(() => seen.length === 2));
  say('seen', byHandler(seen.splice(0)));
  second();
  pattern();
  say('nobody is left', await until(async () => (await pubsub.publish('user:events', 'x')) === 0));
  say('channels', await getRedis().pubsub('CHANNELS'));
  say('patterns', await getRedis().pubsub('NUMPAT'));
  await pubsub.close();
  say('closed', await until(async () => (await getRedis().pubsub('CHANNELS')).length === 0));
}

/// Each handler sees its messages in order; who is called first for one is up to the sketch's awaits.
function byHandler(seen) {
  return seen.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
}

async function streams() {
  part('streams');
  const streams = new StreamService();
  const redis = getRedis();

  const first = await streams.add('orders', { item: 'tea', count: 2 });
  say('id', first);
  const second = await streams.add('orders', { item: 'café', note: '' });
  say('ids grow', first < second || first.length < second.length);
  say('read from the start', await streams.read('orders', { lastId: '0' }));
  say('read after the first', await streams.read('orders', { lastId: first, count: 1 }));
  say('read what is new', await streams.read('orders'));
  say('wait for what is new', await streams.read('orders', { block: 20 }));
  await sayOf('read with a bad id', streams.read('orders', { lastId: 'x' }));
  await sayOf('add nothing', streams.add('orders', {}));
  for (let i = 0; i < 300; i++) await streams.add('trimmed', { i }, 100);
  const length = await redis.xlen('trimmed');
  say('trimmed, about', length >= 100 && length <= 300);

  await streams.createConsumerGroup('orders', 'billing', '0');
  await streams.createConsumerGroup('orders', 'billing', '0');
  await streams.createConsumerGroup('new', 'late');
  await sayOf('a group at a bad id', streams.createConsumerGroup('orders', 'bad', 'x'));
  await sayOf('a group on what is no stream', (async () => {
    await redis.set('string', 'x');
    await streams.createConsumerGroup('string', 'billing');
  })());
  const messages = await streams.readGroup('orders', 'billing', 'c1', { block: 20 });
  say('group reads', messages);
  say('group reads again', await streams.readGroup('orders', 'billing', 'c2', { block: 20 }));
  say('nothing before the group', await streams.readGroup('new', 'late', 'c1', { block: 20 }));
  await sayOf('no such group', streams.readGroup('orders', 'unknown', 'c1', { block: 20 }));
  const idle = (rows) => rows.map(([id, who, ms, times]) => [id, who, typeof ms, times]);
  say('pending', await streams.getPendingMessages('orders', 'billing'));
  say('pending of c1', idle(await streams.getPendingMessages('orders', 'billing', 'c1')));
  say('pending of c2', await streams.getPendingMessages('orders', 'billing', 'c2'));
  say('acknowledge', await streams.acknowledge('orders', 'billing', messages[0].id));
  say('acknowledge twice', await streams.acknowledge('orders', 'billing', messages[0].id));
  await sayOf('acknowledge nothing', streams.acknowledge('orders', 'billing'));
  say('pending', await streams.getPendingMessages('orders', 'billing'));
  say('pending of none', await streams.getPendingMessages('new', 'late'));
}

async function locks() {
  part('locks');
  const redis = getRedis();
  const lock = await acquireLock('stock');
  say('acquired', lock);
  say('held', await acquireLock('stock'));
  say('ttl', (await redis.pttl('lock:stock')) > 9000);
  say('release by a stranger', await releaseLock('stock', 'someone else'));
  say('release', await releaseLock('stock', lock));
  say('release again', await releaseLock('stock', lock));
  const brief = await acquireLock('stock', 20);
  say('for a moment', brief);
  say('free by itself', await until(async () => (await redis.exists('lock:stock')) === 0));
  say('too late to release', await releaseLock('stock', brief));
  say('one of many wins', (await Promise.all(Array.from({ length: 20 }, () => acquireLock('race')))).filter(Boolean).length);
  await sayOf('a ttl of 1.5', acquireLock('bad', 1.5));
  await sayOf('a ttl of 0', acquireLock('bad', 0));
}

async function leaderboard() {
  part('leaderboard');
  const board = new LeaderboardService('game');
  say('empty', [await board.getTopN(3), await board.getUserRank('ann')]);
  for (const [user, score] of [['ann', 10], ['bob', 30.5], ['cid', 20], ['dan', 20], ['eve', -1e100]]) {
    await board.addScore(user, score);
  }
  say('top', await board.getTopN(10));
  say('top 2', await board.getTopN(2));
  say('top 0', await board.getTopN(0));
  say('ranks', [await board.getUserRank('bob'), await board.getUserRank('dan'), await board.getUserRank('cid')]);
  await board.addScore('ann', 99);
  say('first now', await board.getTopN(1));
  await board.addScore('fay', Infinity);
  await board.addScore('tiny', 1e-7);
  await board.addScore('third', 1 / 3);
  await board.addScore('large', 2 ** 53);
  // As numbers: how many digits a score is written with differs between versions of Redis.
  say('odd numbers', (await board.getTopN(100)).map(({ userId, score }) => [userId, String(score)]));
  await sayOf('no number', board.addScore('bad', NaN));
}

async function worker() {
  part('stream worker');
  // A connection of its own: the worker's blocking read holds up the shared one.
  const other = getRedis().duplicate();
  const handled = [];
  let fails = true;
  startStreamWorker('jobs', 'workers', 'w1', async (message) => {
    if (message.fields.name === 'bad' && fails) {
      fails = false;
      throw new Error('a handler that fails');
    }
    handled.push(message.fields.name);
  });
  say('the group is there', await until(async () => (await other.exists('jobs')) === 1));
  for (const name of ['good', 'bad', 'better']) await other.xadd('jobs', '*', 'name', name);
  say('handled', await until(() => handled.length === 2));
  say('in order', handled);
  say('the failed one stays pending', await until(async () => (await other.xpending('jobs', 'workers'))[0] === 1));
  const [, , , times] = (await other.xpending('jobs', 'workers', '-', '+', 10))[0];
  say('delivered', times);
  await other.xadd('jobs', '*', 'name', 'woken');
  say('woken from its wait', await until(() => handled.includes('woken')));
  // The worker acknowledges what was handled a moment later.
  say('and acknowledged', await until(async () => (await other.xpending('jobs', 'workers'))[0] === 1));
  const [consumer] = await other.xinfo('CONSUMERS', 'jobs', 'workers');
  say('consumer', consumer.slice(0, 4));
  await other.quit();
}

for (const service of [client, cache, sessions, rateLimits, pubsub, streams, locks, leaderboard]) {
  await service();
}

part('closing');
await closeRedis();
say('a new connection after closing', await checkRedisHealth());
await worker();
// The worker never ends by itself.
process.exit(0);
