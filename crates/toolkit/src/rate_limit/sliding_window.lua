
-- The permits of the time just past, one by one where they are few.
--
-- Its numbers are the length of the window and that of a grain, in microseconds: what is taken within a
-- grain counts as taken with the last of it, so that a window has no more entries than grains. The state
-- is a sorted set of entries `time permits` by time, and, before them all, `used` by the negative of the
-- permits of all entries.

local sliding_window = {}
kinds["sliding-window"] = sliding_window

local function permits(entry)
  return tonumber(string.match(entry, " (%d+)$"))
end

-- Removes the entries with times in this range, and returns how many permits they were.
local function remove(key, from, to)
  local sum = 0
  for _, entry in ipairs(redis.call("ZRANGE", key, from, to, "BYSCORE")) do
    sum = sum + permits(entry)
  end
  if sum > 0 then
    redis.call("ZREMRANGEBYSCORE", key, from, to)
  end
  return sum
end

local function find_newest(limit)
  local entry = redis.call("ZRANGE", limit.key, -1, -1)[1]
  limit.entry, limit.newest = nil, nil
  if entry and entry ~= "used" then
    limit.entry, limit.newest = entry, tonumber(string.match(entry, "^%d+"))
  end
end

local function add(limit, count)
  if limit.newest and math.floor(limit.newest / limit.grain) == math.floor(now / limit.grain) then
    redis.call("ZREM", limit.key, limit.entry)
    count = count + permits(limit.entry)
  end
  limit.entry, limit.newest = string.format("%.0f %.0f", now, count), now
  redis.call("ZADD", limit.key, now, limit.entry)
  redis.call("PEXPIREAT", limit.key, math.ceil((now + limit.window) / 1000))
end

function sliding_window.read(key, size, window, grain)
  local limit = {key = key, size = size, window = window, grain = grain}
  limit.used = -tonumber(redis.call("ZSCORE", key, "used") or 0)
  if limit.used > 0 then
    local gone = remove(key, "(0", now - window)
    if gone > 0 then
      redis.call("ZINCRBY", key, gone, "used")
      limit.used = limit.used - gone
    end
    find_newest(limit)
    if limit.newest and limit.newest > now then
      local ahead = remove(key, string.format("(%.0f", now), "+inf")
      find_newest(limit)
      add(limit, ahead)
    end
  end
  limit.free = math.max(size - limit.used, 0)
  return limit
end

-- So many of the oldest have to leave the window first; each entry is one permit at least.
function sliding_window.wait(limit, count)
  local missing = limit.used + count - limit.size
  local oldest = redis.call("ZRANGE", limit.key, 1, missing, "WITHSCORES")
  for i = 1, #oldest, 2 do
    missing = missing - permits(oldest[i])
    if missing <= 0 then
      return tonumber(oldest[i + 1]) + limit.window - now
    end
  end
  return limit.window
end

function sliding_window.reset(limit, count)
  local newest = count > 0 and now or limit.newest
  return newest and newest + limit.window - now or 0
end

function sliding_window.take(limit, count)
  add(limit, count)
  redis.call("ZINCRBY", limit.key, -count, "used")
  return now
end

function sliding_window.give(limit, count, _, mark)
  local found = redis.call("ZRANGE", limit.key, mark, "+inf", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES")
  local entry, at = found[1], tonumber(found[2] or 0)
  if not entry or math.floor(at / limit.grain) ~= math.floor(mark / limit.grain) then
    return
  end
  local held = permits(entry)
  count = math.min(count, held)
  redis.call("ZREM", limit.key, entry)
  if held > count then
    redis.call("ZADD", limit.key, at, string.format("%.0f %.0f", at, held - count))
  end
  if limit.used > count then
    redis.call("ZINCRBY", limit.key, count, "used")
  else
    redis.call("DEL", limit.key)
  end
end
