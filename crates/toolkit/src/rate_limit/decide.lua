-- larder: touches only its KEYS
-- Takes permits from one limit or from several at once: from all of them or from none.
--
-- KEYS[1]      the block: the time, in microseconds, until which every request is denied
-- KEYS[1 + i]  the state of limit i, as its kind below says
-- ARGV[1]      what to do: "take", "peek" (decide and take nothing) or "refund"
-- ARGV[2]      permits, from 1 to the smallest size of a limit
-- ARGV[3]      microseconds for which a denial blocks, 0 for not at all
-- ARGV[1 + 3 * i], ARGV[2 + 3 * i], ARGV[3 + 3 * i]  of limit i: kind, size in permits, and
--              microseconds: of "gcra" those in which one permit comes back, of the others those
--              of the window
--
-- Returns {1 if they were (or could be) taken, else 0;
--          permits left after that, in the limit that has the fewest or denies for the longest;
--          microseconds to wait before it is worth trying again, 0 if they were taken;
--          microseconds until that limit is full again if nobody takes anything;
--          which limit that is, from 0}
--
-- All numbers stay below 2^53, where the floating-point numbers of Lua are exact. As words of a
-- command they are written in full; joined to a text they would be cut off.

local action, wanted, block = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- The store's clock, never the callers': theirs do not agree.
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]

-- Stores count milliseconds: a state must not be gone before it says nothing any more. The moment
-- is rounded up, and not the time until then, of which the store would cut off the part of a
-- millisecond that has begun.
local function expire_at(key, moment)
  redis.call("PEXPIREAT", key, math.ceil(moment / 1000))
end

local function set_until(key, value, moment)
  redis.call("SET", key, value, "PXAT", math.ceil(moment / 1000))
end

-- Each kind answers for `count` permits: how many are left after them, how long to wait for them
-- (above 0: they are not there), how long until the limit is full again, a function that takes them,
-- and if they are not there how many are. `count` is below 0 for a refund.
local kinds = {}

-- An even flow (the generic cell rate algorithm of ITU-T I.371). The state is the time at which the
-- bucket will be full: as far ahead as permits are missing.
function kinds.gcra(key, size, interval, count)
  local full = math.max(tonumber(redis.call("GET", key) or now), now)
  local after = math.max(full + count * interval, now)
  local empty = now + size * interval
  local left = math.floor((empty - after) / interval)
  local function take()
    if after > now then
      set_until(key, after, after)
    else
      redis.call("DEL", key)
    end
  end
  if after <= empty then
    return left, 0, after - now, take
  end
  return -1, after - empty, full - now, take, math.floor((empty - full) / interval)
end

-- A window that begins with the first permit taken. The state is a hash: until, used.
function kinds.fixed(key, size, window, count)
  local state = redis.call("HMGET", key, "until", "used")
  local ends, used = tonumber(state[1] or 0), tonumber(state[2] or 0)
  if ends <= now then
    ends, used = now + window, 0
  end
  local after = math.max(used + count, 0)
  local function take()
    if after == 0 then
      redis.call("DEL", key)
      return
    end
    redis.call("HSET", key, "until", ends, "used", after)
    expire_at(key, ends)
  end
  if after <= size then
    return size - after, 0, ends - now, take
  end
  return -1, ends - now, ends - now, take, size - used
end

-- The permits of the time just past, exactly. The state is a sorted set with a member for each of
-- them: the time as score, the time and a number as name.
function kinds.log(key, size, window, count)
  redis.call("ZREMRANGEBYSCORE", key, "-inf", now - window)
  local used = redis.call("ZCARD", key)
  local newest = redis.call("ZRANGE", key, -1, -1, "WITHSCORES")
  -- A clock that steps back must not make the order of the members another than that of the times.
  local at = math.max(now, tonumber(newest[2] or now))
  local function take()
    if count < 0 then
      redis.call("ZPOPMAX", key, -count)
      return
    end
    local number = redis.call("ZCOUNT", key, at, at)
    for i = number + 1, number + count do
      redis.call("ZADD", key, at, string.format("%.0f-%010d", at, i))
    end
    expire_at(key, at + window)
  end
  local left = size - math.max(used + count, 0)
  local reset = left < size and at + window - now or 0
  if left >= 0 then
    return left, 0, reset, take
  end
  -- So many of the oldest have to leave the window first.
  local leaving = redis.call("ZRANGE", key, -left - 1, -left - 1, "WITHSCORES")
  return -1, tonumber(leaving[2]) + window - now, reset, take, size - used
end

-- The permits of this window, and of the one before as if they had been taken evenly. Windows are
-- aligned to the clock. The state is a hash: window (its number), used, before.
function kinds.counter(key, size, window, count)
  local state = redis.call("HMGET", key, "window", "used", "before")
  local number = math.floor(now / window)
  local held, used, before = tonumber(state[1] or -1), tonumber(state[2] or 0), tonumber(state[3] or 0)
  if held == number - 1 then
    used, before = 0, used
  elseif held ~= number then
    used, before = 0, 0
  end
  local elapsed = now - number * window
  local weighed = before * ((window - elapsed) / window)
  local after = math.max(used + count, 0)
  local reset = after > 0 and 2 * window - elapsed or before > 0 and window - elapsed or 0
  local function take()
    if after == 0 and before == 0 then
      redis.call("DEL", key)
      return
    end
    redis.call("HSET", key, "window", number, "used", after, "before", before)
    expire_at(key, now + 2 * window - elapsed)
  end
  if weighed + after <= size then
    return math.floor(size - weighed - after), 0, reset, take
  end
  -- When so much of the other window has gone that the permits are there, rounded up.
  local wait
  if after <= size then
    wait = math.ceil(window * (1 - (size - after) / before) - elapsed) + 1
  else
    wait = window - elapsed + math.max(0, math.ceil(window * (1 - (size - count) / used)) + 1)
  end
  return -1, wait, reset, take, math.floor(size - weighed - used)
end

local blocked_until = block > 0 and tonumber(redis.call("GET", KEYS[1]) or 0) or 0
if action == "refund" then
  wanted = -wanted
end

-- All limits are asked before anything is taken from one of them.
local takes = {}
local allowed = true
local worst = {}
for i = 1, #KEYS - 1 do
  local kind, size, microseconds = ARGV[1 + 3 * i], tonumber(ARGV[2 + 3 * i]), tonumber(ARGV[3 + 3 * i])
  local left, wait, reset, take, left_now = kinds[kind](KEYS[1 + i], size, microseconds, wanted)
  takes[i] = take
  allowed = allowed and wait == 0
  if not worst.index or wait > worst.wait or (wait == worst.wait and left < worst.left) then
    worst = {index = i - 1, left = left, wait = wait, reset = reset, left_now = left_now}
  end
end

if blocked_until > now and action ~= "refund" then
  -- What a limit denies for longer than the block lasts would be denied after it again.
  local rest = blocked_until - now
  return {0, 0, math.max(worst.wait, rest), math.max(worst.reset, rest), worst.index}
end
if not allowed and action ~= "refund" then
  if action == "take" and block > 0 then
    worst.wait = math.max(worst.wait, block)
    set_until(KEYS[1], now + block, now + block)
  end
  return {0, math.max(worst.left_now, 0), worst.wait, worst.reset, worst.index}
end
if action ~= "peek" then
  for i = 1, #takes do
    takes[i]()
  end
end
return {1, math.max(worst.left, 0), 0, worst.reset, worst.index}
