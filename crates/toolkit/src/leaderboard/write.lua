
-- Gives a member points, and says how it ranks then.
--
-- ARGV[1]  "set", "add", or "improve" (set, if that is fewer points than the member has)
-- ARGV[2]  the member
-- ARGV[3]  points, or points to add
-- ARGV[4]  the ties: "competition", "ordinal" or "dense"
-- ARGV[5]  how many members stay on the board, 0 for all
-- ARGV[6]  milliseconds that the board lasts, 0 for ever
-- ARGV[7]  "first" or "last": the write from which that counts
--
-- Returns {1 if the points changed, else 0; points; rank from 1, 0 if the member is not on the
-- board}, or an error TIES, LOST or RANGE, with nothing changed

local how, member, ties = ARGV[1], ARGV[2], ARGV[4]
local keep, ttl = tonumber(ARGV[5]), tonumber(ARGV[6])
local dense = ties == "dense"

-- Integers up to this are exact in a score.
local MOST = 9007199254740991

-- A full board is cut by so many members in a call: what is over goes with later calls.
local CUT = 1000

local function text(points)
  return string.format("%.0f", points)
end

-- When a member comes to its points: now, and after all who have them already.
local function arrival_at(points)
  local time = redis.call("TIME")
  local now = time[1] * 1000000 + time[2] + (dense and DENSE or 0)
  local last = redis.call("ZRANGE", order, points, points, "BYSCORE", "REV", "LIMIT", 0, 1)[1]
  local after = last and tonumber(string.sub(last, 1, 16)) + 1 or 0
  return string.format("%016.0f", math.max(now, after))
end

-- Nobody may have these points any more.
local function forget(points)
  if dense and redis.call("ZCOUNT", order, points, points) == 0 then
    redis.call("ZREM", distinct, points)
  end
end

local function take_off(entry, points)
  redis.call("ZREM", order, entry)
  redis.call("HDEL", arrivals, string.sub(entry, 17))
  forget(points)
end

local function rank(entry, points)
  if ties == "ordinal" then
    return redis.call("ZRANK", order, entry) + 1
  end
  return redis.call("ZCOUNT", dense and distinct or order, "-inf", "(" .. text(points)) + 1
end

-- Each key by itself: one may have been lost and be new.
local function set_ttl()
  local rest = redis.call("PTTL", order)
  if ttl == 0 and rest < 0 then
    return
  end
  for _, key in ipairs(KEYS) do
    if ttl == 0 then
      redis.call("PERSIST", key)
    elseif ARGV[7] == "last" then
      redis.call("PEXPIRE", key, ttl)
    elseif redis.call("PTTL", key) == -1 then
      redis.call("PEXPIRE", key, rest > 0 and rest or ttl)
    end
  end
end

if len == 0 then
  -- What a lost board has left behind is of none of its members any more.
  redis.call("UNLINK", arrivals, distinct)
else
  local refused
  if dense then
    refused = no_dense_ranks()
  elseif redis.call("EXISTS", distinct) == 1 then
    refused = ties_refused
  end
  if refused or is_lost() then
    return refused or lost_refused
  end
end

local points = tonumber(ARGV[3])
local arrival = redis.call("HGET", arrivals, member)
local before
if arrival then
  before = tonumber(redis.call("ZSCORE", order, arrival .. member))
  if how == "add" then
    points = before + points
  elseif how == "improve" then
    points = math.min(before, points)
  end
end
if points > MOST or points < -MOST then
  return redis.error_reply("RANGE the score would not be exact")
end

local changed = points ~= before
if changed then
  -- The new entry goes in before the old one goes out: a key that is empty in between is gone, and
  -- with it the time that it lasts.
  local old = arrival
  arrival = arrival_at(points)
  redis.call("ZADD", order, points, arrival .. member)
  redis.call("HSET", arrivals, member, arrival)
  if dense then
    redis.call("ZADD", distinct, points, points)
  end
  if before then
    -- Whoever comes to two scores in a microsecond has one entry, which has moved.
    if old ~= arrival then
      redis.call("ZREM", order, old .. member)
    end
    forget(before)
  end
end
set_ttl()

local entry = arrival .. member
local over = keep > 0 and redis.call("ZCARD", order) - keep or 0
local is_over = over > 0 and redis.call("ZRANK", order, entry) >= keep
if is_over then
  take_off(entry, points)
  over = over - 1
end
if over > 0 then
  local worst = redis.call("ZRANGE", order, -math.min(over, CUT), -1, "WITHSCORES")
  for i = 1, #worst, 2 do
    take_off(worst[i], tonumber(worst[i + 1]))
  end
end
return {changed and 1 or 0, text(points), is_over and 0 or rank(entry, points)}
