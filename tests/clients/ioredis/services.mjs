// The services of the sketch that Larder began from, as its TypeScript has them, with the types left
// out. They are kept as they were written, mistakes included: programs like these exist, and must
// behave on Larder as they do on Redis.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { Redis } = require('ioredis');

// ---- Client setup ----

const redisConfig = {
  host: process.env.HOST || 'localhost',
  port: parseInt(process.env.PORT || '6379'),
  password: process.env.REDIS_PASSWORD,
  db: parseInt(process.env.REDIS_DB || '0'),
  maxRetriesPerRequest: 3,
  retryStrategy: (times) => {
    const delay = Math.min(times * 50, 2000);
    return delay;
  },
  reconnectOnError: (err) => {
    const targetErrors = ['READONLY', 'ECONNRESET'];
    return targetErrors.some(e => err.message.includes(e));
  },
};

// Singleton instance
let redis = null;

export function getRedis() {
  if (!redis) {
    redis = new Redis(redisConfig);

    redis.on('connect', () => {
      console.log('Redis connected');
    });

    redis.on('error', (err) => {
      console.error('Redis error:', err);
    });

    redis.on('close', () => {
      console.log('Redis connection closed');
    });
  }

  return redis;
}

export async function closeRedis() {
  if (redis) {
    await redis.quit();
    redis = null;
  }
}

// Health check
export async function checkRedisHealth() {
  try {
    const client = getRedis();
    const result = await client.ping();
    return result === 'PONG';
  } catch {
    return false;
  }
}

// ---- Caching service ----

export class CacheService {
  constructor(options = {}) {
    this.redis = getRedis();
    this.defaultTTL = options.ttl || 3600; // 1 hour
    this.prefix = options.prefix || 'cache:';
  }

  getKey(key) {
    return `${this.prefix}${key}`;
  }

  // Basic get/set
  async get(key) {
    const data = await this.redis.get(this.getKey(key));
    if (!data) return null;
    return JSON.parse(data);
  }

  async set(key, value, ttl) {
    const serialized = JSON.stringify(value);
    const expiry = ttl || this.defaultTTL;
    await this.redis.setex(this.getKey(key), expiry, serialized);
  }

  async delete(key) {
    await this.redis.del(this.getKey(key));
  }

  // Get or set pattern
  async getOrSet(key, factory, ttl) {
    const cached = await this.get(key);
    if (cached !== null) {
      return cached;
    }

    const value = await factory();
    await this.set(key, value, ttl);
    return value;
  }

  // Cache invalidation patterns
  async invalidatePattern(pattern) {
    const keys = await this.redis.keys(`${this.prefix}${pattern}`);
    if (keys.length === 0) return 0;
    return this.redis.del(...keys);
  }

  async invalidateByTags(tags) {
    const pipeline = this.redis.pipeline();

    for (const tag of tags) {
      const tagKey = `tag:${tag}`;
      const members = await this.redis.smembers(tagKey);

      for (const key of members) {
        pipeline.del(key);
      }
      pipeline.del(tagKey);
    }

    await pipeline.exec();
  }

  // Set with tags for invalidation
  async setWithTags(key, value, tags, ttl) {
    const fullKey = this.getKey(key);
    const pipeline = this.redis.pipeline();

    pipeline.setex(fullKey, ttl || this.defaultTTL, JSON.stringify(value));

    for (const tag of tags) {
      pipeline.sadd(`tag:${tag}`, fullKey);
    }

    await pipeline.exec();
  }

  // Bulk operations
  async mget(keys) {
    const fullKeys = keys.map(k => this.getKey(k));
    const results = await this.redis.mget(...fullKeys);
    return results.map(r => (r ? JSON.parse(r) : null));
  }

  async mset(entries) {
    const pipeline = this.redis.pipeline();

    for (const entry of entries) {
      const fullKey = this.getKey(entry.key);
      const serialized = JSON.stringify(entry.value);
      pipeline.setex(fullKey, entry.ttl || this.defaultTTL, serialized);
    }

    await pipeline.exec();
  }
}

// ---- Session management ----

export class SessionService {
  prefix = 'session:';
  userSessionsPrefix = 'user_sessions:';
  defaultTTL = 86400 * 7; // 7 days

  constructor() {
    this.redis = getRedis();
  }

  async create(userId, data = {}) {
    const sessionId = randomUUID();
    const now = Date.now();

    const session = {
      id: sessionId,
      userId,
      data,
      createdAt: now,
      expiresAt: now + this.defaultTTL * 1000,
    };

    const pipeline = this.redis.pipeline();

    // Store session
    pipeline.hset(`${this.prefix}${sessionId}`, {
      userId,
      data: JSON.stringify(data),
      createdAt: now.toString(),
      expiresAt: session.expiresAt.toString(),
    });
    pipeline.expire(`${this.prefix}${sessionId}`, this.defaultTTL);

    // Track user sessions
    pipeline.sadd(`${this.userSessionsPrefix}${userId}`, sessionId);
    pipeline.expire(`${this.userSessionsPrefix}${userId}`, this.defaultTTL);

    await pipeline.exec();

    return session;
  }

  async get(sessionId) {
    const data = await this.redis.hgetall(`${this.prefix}${sessionId}`);

    if (!data || !data.userId) {
      return null;
    }

    return {
      id: sessionId,
      userId: data.userId,
      data: JSON.parse(data.data || '{}'),
      createdAt: parseInt(data.createdAt),
      expiresAt: parseInt(data.expiresAt),
    };
  }

  async update(sessionId, data) {
    const exists = await this.redis.exists(`${this.prefix}${sessionId}`);
    if (!exists) {
      throw new Error('Session not found');
    }

    await this.redis.hset(`${this.prefix}${sessionId}`, 'data', JSON.stringify(data));
  }

  async refresh(sessionId) {
    const session = await this.get(sessionId);
    if (!session) {
      throw new Error('Session not found');
    }

    const newExpiresAt = Date.now() + this.defaultTTL * 1000;

    const pipeline = this.redis.pipeline();
    pipeline.hset(`${this.prefix}${sessionId}`, 'expiresAt', newExpiresAt.toString());
    pipeline.expire(`${this.prefix}${sessionId}`, this.defaultTTL);
    await pipeline.exec();
  }

  async destroy(sessionId) {
    const session = await this.get(sessionId);
    if (!session) return;

    const pipeline = this.redis.pipeline();
    pipeline.del(`${this.prefix}${sessionId}`);
    pipeline.srem(`${this.userSessionsPrefix}${session.userId}`, sessionId);
    await pipeline.exec();
  }

  async destroyAllUserSessions(userId) {
    const sessionIds = await this.redis.smembers(`${this.userSessionsPrefix}${userId}`);

    if (sessionIds.length === 0) return 0;

    const pipeline = this.redis.pipeline();
    for (const sessionId of sessionIds) {
      pipeline.del(`${this.prefix}${sessionId}`);
    }
    pipeline.del(`${this.userSessionsPrefix}${userId}`);

    await pipeline.exec();
    return sessionIds.length;
  }

  async getUserSessions(userId) {
    const sessionIds = await this.redis.smembers(`${this.userSessionsPrefix}${userId}`);

    const sessions = [];
    for (const sessionId of sessionIds) {
      const session = await this.get(sessionId);
      if (session) {
        sessions.push(session);
      }
    }

    return sessions;
  }
}

// ---- Rate limiting ----

export class RateLimiter {
  prefix = 'ratelimit:';

  constructor() {
    this.redis = getRedis();
  }

  // Fixed window rate limiting
  async checkFixedWindow(key, config) {
    const fullKey = `${this.prefix}fixed:${key}`;
    const now = Math.floor(Date.now() / 1000);
    const windowStart = now - (now % config.duration);
    const windowKey = `${fullKey}:${windowStart}`;

    const current = await this.redis.incr(windowKey);

    if (current === 1) {
      await this.redis.expire(windowKey, config.duration);
    }

    const remaining = Math.max(0, config.points - current);
    const resetAt = (windowStart + config.duration) * 1000;

    if (current > config.points) {
      return {
        allowed: false,
        remaining: 0,
        resetAt,
        retryAfter: resetAt - Date.now(),
      };
    }

    return { allowed: true, remaining, resetAt };
  }

  // Sliding window rate limiting
  async checkSlidingWindow(key, config) {
    const fullKey = `${this.prefix}sliding:${key}`;
    const now = Date.now();
    const windowStart = now - config.duration * 1000;

    // Use sorted set for sliding window
    const pipeline = this.redis.pipeline();
    pipeline.zremrangebyscore(fullKey, '-inf', windowStart);
    pipeline.zadd(fullKey, now, `${now}:${Math.random()}`);
    pipeline.zcard(fullKey);
    pipeline.expire(fullKey, config.duration);

    const results = await pipeline.exec();
    const count = results?.[2]?.[1];

    const remaining = Math.max(0, config.points - count);
    const resetAt = now + config.duration * 1000;

    if (count > config.points) {
      // Remove the request we just added
      await this.redis.zremrangebyscore(fullKey, now, now);

      return {
        allowed: false,
        remaining: 0,
        resetAt,
        retryAfter: config.duration * 1000,
      };
    }

    return { allowed: true, remaining, resetAt };
  }

  // Token bucket rate limiting
  async checkTokenBucket(key, config) {
    const fullKey = `${this.prefix}bucket:${key}`;
    const now = Date.now();

    const luaScript = `
      local key = KEYS[1]
      local capacity = tonumber(ARGV[1])
      local refillRate = tonumber(ARGV[2])
      local now = tonumber(ARGV[3])

      local bucket = redis.call('HMGET', key, 'tokens', 'lastRefill')
      local tokens = tonumber(bucket[1]) or capacity
      local lastRefill = tonumber(bucket[2]) or now

      -- Calculate refill
      local elapsed = (now - lastRefill) / 1000
      local refill = elapsed * refillRate
      tokens = math.min(capacity, tokens + refill)

      -- Try to consume a token
      local allowed = 0
      if tokens >= 1 then
        tokens = tokens - 1
        allowed = 1
      end

      redis.call('HMSET', key, 'tokens', tokens, 'lastRefill', now)
      redis.call('EXPIRE', key, 3600)

      return {allowed, tokens}
    `;

    const result = await this.redis.eval(
      luaScript,
      1,
      fullKey,
      config.capacity,
      config.refillRate,
      now
    );

    return {
      allowed: result[0] === 1,
      remaining: Math.floor(result[1]),
      resetAt: now + Math.ceil((config.capacity - result[1]) / config.refillRate) * 1000,
    };
  }
}

// Express middleware
export function createRateLimitMiddleware(config) {
  const limiter = new RateLimiter();

  return async (req, res, next) => {
    const key = req.ip || req.connection.remoteAddress;
    const result = await limiter.checkSlidingWindow(key, config);

    res.setHeader('X-RateLimit-Limit', config.points);
    res.setHeader('X-RateLimit-Remaining', result.remaining);
    res.setHeader('X-RateLimit-Reset', result.resetAt);

    if (!result.allowed) {
      res.setHeader('Retry-After', Math.ceil((result.retryAfter || 0) / 1000));
      return res.status(429).json({
        error: 'Too many requests',
        retryAfter: result.retryAfter,
      });
    }

    next();
  };
}

// ---- Pub/sub messaging ----

export class PubSubService {
  handlers = new Map();

  constructor() {
    this.publisher = getRedis();
    this.subscriber = getRedis().duplicate();

    this.subscriber.on('message', (channel, message) => {
      this.handleMessage(channel, message);
    });

    this.subscriber.on('pmessage', (pattern, channel, message) => {
      this.handleMessage(pattern, message, channel);
    });
  }

  async handleMessage(channel, message, actualChannel) {
    const handlers = this.handlers.get(channel);
    if (!handlers) return;

    const parsed = JSON.parse(message);
    const targetChannel = actualChannel || channel;

    for (const handler of handlers) {
      try {
        await handler(parsed, targetChannel);
      } catch (error) {
        console.error(`Error handling message on ${targetChannel}:`, error);
      }
    }
  }

  // Subscribe to channel
  async subscribe(channel, handler) {
    if (!this.handlers.has(channel)) {
      this.handlers.set(channel, new Set());
      await this.subscriber.subscribe(channel);
    }

    this.handlers.get(channel).add(handler);

    return () => {
      const handlers = this.handlers.get(channel);
      if (handlers) {
        handlers.delete(handler);
        if (handlers.size === 0) {
          this.handlers.delete(channel);
          this.subscriber.unsubscribe(channel);
        }
      }
    };
  }

  // Subscribe to pattern
  async psubscribe(pattern, handler) {
    if (!this.handlers.has(pattern)) {
      this.handlers.set(pattern, new Set());
      await this.subscriber.psubscribe(pattern);
    }

    this.handlers.get(pattern).add(handler);

    return () => {
      const handlers = this.handlers.get(pattern);
      if (handlers) {
        handlers.delete(handler);
        if (handlers.size === 0) {
          this.handlers.delete(pattern);
          this.subscriber.punsubscribe(pattern);
        }
      }
    };
  }

  // Publish message
  async publish(channel, message) {
    return this.publisher.publish(channel, JSON.stringify(message));
  }

  // Cleanup
  async close() {
    await this.subscriber.quit();
  }
}

// ---- Streams ----

export class StreamService {
  constructor() {
    this.redis = getRedis();
  }

  // Add message to stream
  async add(stream, data, maxLen) {
    const fields = Object.entries(data).flat().map(String);

    if (maxLen) {
      return this.redis.xadd(stream, 'MAXLEN', '~', maxLen, '*', ...fields);
    }

    return this.redis.xadd(stream, '*', ...fields);
  }

  // Read messages
  async read(stream, options = {}) {
    const { count = 10, block, lastId = '$' } = options;

    const args = ['COUNT', count];
    if (block !== undefined) {
      args.push('BLOCK', block);
    }

    const result = await this.redis.xread(...args, 'STREAMS', stream, lastId);

    if (!result) return [];

    return result[0][1].map(([id, fields]) => ({
      id,
      fields: this.parseFields(fields),
    }));
  }

  // Consumer group operations
  async createConsumerGroup(stream, group, startId = '$') {
    try {
      await this.redis.xgroup('CREATE', stream, group, startId, 'MKSTREAM');
    } catch (error) {
      if (!error.message.includes('BUSYGROUP')) {
        throw error;
      }
    }
  }

  async readGroup(stream, group, consumer, options = {}) {
    const { count = 10, block = 5000 } = options;

    const result = await this.redis.xreadgroup(
      'GROUP', group, consumer,
      'COUNT', count,
      'BLOCK', block,
      'STREAMS', stream, '>'
    );

    if (!result) return [];

    return result[0][1].map(([id, fields]) => ({
      id,
      fields: this.parseFields(fields),
    }));
  }

  async acknowledge(stream, group, ...ids) {
    return this.redis.xack(stream, group, ...ids);
  }

  async getPendingMessages(stream, group, consumer) {
    if (consumer) {
      return this.redis.xpending(stream, group, '-', '+', 100, consumer);
    }
    return this.redis.xpending(stream, group);
  }

  parseFields(fields) {
    const result = {};
    for (let i = 0; i < fields.length; i += 2) {
      result[fields[i]] = fields[i + 1];
    }
    return result;
  }
}

// Stream consumer worker
export async function startStreamWorker(stream, group, consumer, handler) {
  const streamService = new StreamService();
  await streamService.createConsumerGroup(stream, group);

  while (true) {
    try {
      const messages = await streamService.readGroup(stream, group, consumer);

      for (const message of messages) {
        try {
          await handler(message);
          await streamService.acknowledge(stream, group, message.id);
        } catch (error) {
          console.error('Error processing message:', error);
        }
      }
    } catch (error) {
      console.error('Stream read error:', error);
      await new Promise(resolve => setTimeout(resolve, 1000));
    }
  }
}

// ---- Distributed locking ----

export async function acquireLock(key, ttl = 10000) {
  const redis = getRedis();
  const lockId = randomUUID();

  const acquired = await redis.set(
    `lock:${key}`,
    lockId,
    'PX', ttl,
    'NX'
  );

  return acquired === 'OK' ? lockId : null;
}

export async function releaseLock(key, lockId) {
  const redis = getRedis();
  const script = `
    if redis.call("get", KEYS[1]) == ARGV[1] then
      return redis.call("del", KEYS[1])
    else
      return 0
    end
  `;

  const result = await redis.eval(script, 1, `lock:${key}`, lockId);
  return result === 1;
}

// ---- Leaderboard ----

export class LeaderboardService {
  constructor(name) {
    this.redis = getRedis();
    this.key = `leaderboard:${name}`;
  }

  async addScore(userId, score) {
    await this.redis.zadd(this.key, score, userId);
  }

  async getTopN(n) {
    const results = await this.redis.zrevrange(this.key, 0, n - 1, 'WITHSCORES');
    const entries = [];

    for (let i = 0; i < results.length; i += 2) {
      entries.push({
        userId: results[i],
        score: parseFloat(results[i + 1]),
        rank: i / 2 + 1,
      });
    }

    return entries;
  }

  async getUserRank(userId) {
    const rank = await this.redis.zrevrank(this.key, userId);
    return rank !== null ? rank + 1 : null;
  }
}
