-- larder: touches only its KEYS
-- What all scripts on a user's sessions share. It stands before each of them.
--
-- KEYS[1]  the sessions of a user: for each a field DIGEST (its data, sealed, behind its device if one is
--          noted) and a field DIGEST:m (its version, when it was made and seen, how long it lasts unseen
--          and at most, each in milliseconds, and the id of its last save)
-- KEYS[2]  the index: a sorted set of digests by when the session expires
-- KEYS[3]  in scripts on one session: word of where it went, if it was given another token

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text(number)
  return string.format("%.0f", number)
end

-- What is known of a session, be it expired or not; nil if nothing is.
local function read(digest)
  local known = redis.call("HGET", KEYS[1], digest .. ":m") or ""
  local version, created, seen, idle, absolute, save =
    string.match(known, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%x+)$")
  if not version then
    return nil
  end
  -- After a clock was set back, nothing was made or seen later than now: it would last the longer.
  created, seen = math.min(created, now), math.min(seen, now)
  return {
    version = tonumber(version), created = created, seen = seen, idle = tonumber(idle),
    absolute = tonumber(absolute), save = save, expires = math.min(seen + idle, created + absolute),
  }
end

-- What is known of a session that has not expired; nil if there is none.
local function get(digest)
  local session = read(digest)
  return session and session.expires > now and session or nil
end

-- Writes what is known of a session, and when it expires.
local function put(digest, session)
  redis.call("HSET", KEYS[1], digest .. ":m", table.concat({
    session.version, text(session.created), text(session.seen), text(session.idle),
    text(session.absolute), session.save,
  }, " "))
  session.expires = math.min(session.seen + session.idle, session.created + session.absolute)
  redis.call("ZADD", KEYS[2], text(session.expires), digest)
end

-- Takes sessions out, by their digests.
local function remove(digests)
  for _, digest in ipairs(digests) do
    redis.call("HDEL", KEYS[1], digest, digest .. ":m")
    redis.call("ZREM", KEYS[2], digest)
  end
end

-- Has both keys last as long as the last session.
local function keep()
  local last = redis.call("ZREVRANGE", KEYS[2], 0, 0, "WITHSCORES")
  if last[1] then
    redis.call("PEXPIREAT", KEYS[1], last[2])
    redis.call("PEXPIREAT", KEYS[2], last[2])
  end
end

-- Lets go of sessions that have expired: of so many at once that nobody waits for it.
local function prune()
  remove(redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", text(now), "LIMIT", 0, 1000))
  keep()
end

-- Makes the index anew if it is not that of the sessions: the store may have evicted either key.
local function mend()
  if redis.call("HLEN", KEYS[1]) == 2 * redis.call("ZCARD", KEYS[2]) then
    return
  end
  redis.call("DEL", KEYS[2])
  for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
    local digest = string.match(field, "^(.*):m$")
    local session = digest and read(digest)
    if session then
      redis.call("ZADD", KEYS[2], text(session.expires), digest)
    end
  end
  keep()
end

local function shown(session)
  return {
    session.version, session.created, session.seen, session.expires,
    session.created + session.absolute,
  }
end

