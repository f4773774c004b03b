// Limits of rate-limiter-flexible, by ioredis and by node-redis: windows, blocks, penalties, bursts,
// several limits at once, and many callers at a time.

import { createRequire } from 'node:module';

import { end, part, say, sayOf, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { Redis } = require('ioredis');
const { createClient } = require('redis');
const {
  BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis, RateLimiterRes, RateLimiterUnion,
} = require('rate-limiter-flexible');

const address = { host: process.env.HOST, port: Number(process.env.PORT) };

/// What a limiter said: how much is left, and whether the time to wait is within the window.
function shape(result, seconds) {
  if (!(result instanceof RateLimiterRes)) return result;
  const { consumedPoints, remainingPoints, msBeforeNext, isFirstInDuration } = result;
  return { consumedPoints, remainingPoints, isFirstInDuration, inWindow: msBeforeNext > 0 && msBeforeNext <= seconds * 1000 };
}

/// What comes of consuming, be it a refusal.
const consumed = (limiter, key, points, seconds = limiter.duration) =>
  limiter.consume(key, points).then(
    (result) => ({ allowed: shape(result, seconds) }),
    (refusal) => ({ refused: shape(refusal, seconds) }),
  );

async function limits(client, options) {
  const limiter = (name, points, duration, more) =>
    new RateLimiterRedis({ storeClient: client, keyPrefix: name, points, duration, ...options, ...more });

  const window = limiter('window', 3, 60);
  for (const points of [1, 2, 1]) say('consumed', await consumed(window, 'ann', points));
  say('another', await consumed(window, 'bob', 1));
  say('seen', [shape(await window.get('ann'), 60), await window.get('nobody')]);
  say('penalty', shape(await window.penalty('bob', 5), 60));
  say('refused by the penalty', await consumed(window, 'bob', 1));
  say('reward', shape(await window.reward('bob', 6), 60));
  say('allowed by the reward', await consumed(window, 'bob', 1));
  say('set', shape(await window.set('cid', 3, 30), 30));
  say('refused', await consumed(window, 'cid', 1));
  say('forgotten', [await window.delete('cid'), await window.delete('nobody'), await window.get('cid')]);

  const many = limiter('many', 20, 60);
  const all = await Promise.all(Array.from({ length: 50 }, () => consumed(many, 'crowd', 1)));
  say('of a crowd', all.filter(({ allowed }) => allowed).length);

  const strict = limiter('strict', 1, 1, { blockDuration: 600 });
  say('blocked', [await consumed(strict, 'ann', 1), await consumed(strict, 'ann', 1, 600)]);
  say('for long', (await strict.get('ann')).msBeforeNext > 500_000);
  const forGood = await strict.block('dan', 0).then(() => strict.get('dan'));
  say('for good', forGood.msBeforeNext);
  say('never ends', await limiter('endless', 2, 0).consume('ann').then(({ msBeforeNext }) => msBeforeNext));

  const short = limiter('short', 1, 1);
  await short.consume('ann');
  say('lets in again', await until(() => short.consume('ann').then(() => true, () => false)));

  const bursty = new BurstyRateLimiter(limiter('rate', 1, 60), limiter('burst', 2, 60));
  const spent = [];
  for (let i = 0; i < 4; i++) spent.push(await bursty.consume('ann').then(() => true, () => false));
  say('a burst', spent);

  const union = new RateLimiterUnion(limiter('few', 2, 60), limiter('more', 9, 60));
  await union.consume('ann', 2);
  await sayOf('of two limits the one', union.consume('ann').catch((refusals) => Object.keys(refusals)));

  const queue = new RateLimiterQueue(limiter('queued', 2, 1), { maxQueueSize: 2 });
  const begun = Date.now();
  await Promise.all([1, 2, 3].map(() => queue.removeTokens(1)));
  say('the third has waited', Date.now() - begun > 100);
}

part('by ioredis');
await limits(new Redis(address), {});
await new Redis(address).flushall();
part('by node-redis');
await limits(await createClient({ socket: address }).connect(), { useRedisPackage: true });
end();
