-- larder: touches only its KEYS
-- Takes a lock that is free, or that the same request has taken already.
--
-- KEYS[1]  the lock: a hash of its `owner` and its `token`, gone when the lock expires
-- KEYS[2]  the last fencing token given, which outlives the lock; behind it, latest first, the requests that
--          were given up and may still come: each a space, the millisecond, a colon and the request
-- ARGV[1]  the request that wants the lock
-- ARGV[2]  milliseconds for which it wants it
-- ARGV[3]  milliseconds for which the last token is remembered
--
-- Returns {1 if taken, else 0; the fencing token, 0 if not taken; milliseconds until the lock
-- expires, for whoever holds it now}

local owner, ttl, remember = ARGV[1], ARGV[2], ARGV[3]

-- Milliseconds after which no request comes any more that was given up.
local GONE_KEPT = 60000

local held = redis.call("HMGET", KEYS[1], "owner", "token")
local left = redis.call("PTTL", KEYS[1])
if held[1] and (held[1] == owner or left < 0) then
  -- The answer to this request was lost on its way, and it is told again that it has the lock. Or
  -- somebody made the lock persist: no lock lives for ever.
  redis.call("PEXPIRE", KEYS[1], ttl)
  left = tonumber(ttl)
end
if held[1] == owner then
  return {1, tonumber(held[2]), left}
end
if held[1] then
  return {0, 0, left}
end

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local last = redis.call("GET", KEYS[2]) or "0"
local token, gone = tonumber(last), ""
if not token then
  token, gone = string.match(last, "^(%d+)( .*)$")
  if string.find(gone, ":" .. owner, 1, true) then
    -- Nobody would give back what this takes.
    return {0, 0, 0}
  end
  if now / 1000 - tonumber(string.match(gone, "^ (%d+)")) > GONE_KEPT then
    gone = ""
  end
end

-- The clock keeps tokens growing when the last one was lost (a failover, FLUSHALL); the last one
-- keeps them growing when the clock stands still or steps back.
token = math.max(token + 1, now)

redis.call("SET", KEYS[2], string.format("%.0f", token) .. gone, "PX", remember)
redis.call("HSET", KEYS[1], "owner", owner, "token", token)
redis.call("PEXPIRE", KEYS[1], ttl)
return {1, token, tonumber(ttl)}
