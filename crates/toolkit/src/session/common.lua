-- larder: touches only its KEYS
-- What all scripts on a user's sessions share. It stands before each of them.
--
-- KEYS[1]  the sessions of a user: for each a field DIGEST (its data, sealed) and a field DIGEST:m
--          (its version, and when it was made, was seen and ends at the latest, each in
--          milliseconds)
-- KEYS[2]  the index: a sorted set of digests by when the session expires, in milliseconds

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text(number)
  return string.format("%.0f", number)
end

-- Takes sessions out, by their digests.
local function remove(digests)
  for _, digest in ipairs(digests) do
    redis.call("HDEL", KEYS[1], digest, digest .. ":m")
    redis.call("ZREM", KEYS[2], digest)
  end
end

-- Lets go of sessions that have expired, and of both keys when the last session has.
local function prune()
  remove(redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", now))
  local last = redis.call("ZREVRANGE", KEYS[2], 0, 0, "WITHSCORES")
  if not last[1] then
    redis.call("DEL", KEYS[1], KEYS[2])
    return
  end
  redis.call("PEXPIREAT", KEYS[1], last[2])
  redis.call("PEXPIREAT", KEYS[2], last[2])
end

-- Writes what is known of a session, and when it expires.
local function put(digest, session)
  local fields = { session.version, text(session.created), text(session.seen), text(session.ends) }
  session.expires = math.min(session.seen + session.idle, session.ends)
  redis.call("HSET", KEYS[1], digest .. ":m", table.concat(fields, " "))
  redis.call("ZADD", KEYS[2], session.expires, digest)
end

-- What is known of a session that has not expired; nil if there is none.
local function get(digest, idle)
  local expires = tonumber(redis.call("ZSCORE", KEYS[2], digest) or 0)
  local known = expires > now and redis.call("HGET", KEYS[1], digest .. ":m")
  if not known then
    return nil
  end
  local version, created, seen, ends = string.match(known, "(%d+) (%d+) (%d+) (%d+)")
  return {
    version = tonumber(version), created = tonumber(created), seen = tonumber(seen),
    ends = tonumber(ends), expires = expires, idle = idle,
  }
end

local function shown(session)
  return { session.version, session.created, session.seen, session.expires, session.ends }
end

