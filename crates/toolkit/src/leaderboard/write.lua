-- larder: touches only its KEYS
-- Gives a member points, and says how it ranks then. Fewer points are better.
--
-- KEYS[1]  sorted set: `arrival member` by points; an arrival is a number of 16 digits
-- KEYS[2]  hash: the arrival of each member, which is when it came to its points
-- KEYS[3]  sorted set of the points that occur, by themselves; only on boards of dense ranks
-- KEYS[4]  how many arrivals there were
-- ARGV[1]  "set", "add", or "improve" (set, if that is fewer points than the member has)
-- ARGV[2]  the member
-- ARGV[3]  points, or points to add
-- ARGV[4]  the ties: "competition", "ordinal" or "dense"
-- ARGV[5]  how many members stay on the board, 0 for all
-- ARGV[6]  milliseconds that the board lasts, 0 for ever
-- ARGV[7]  "first" or "last": the write from which that counts
--
-- Returns {1 if the points changed, else 0; points; rank from 1, 0 if the member is not on the
-- board}, or an error TIES or RANGE, with nothing changed

local order, arrivals, distinct, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local how, member, ties = ARGV[1], ARGV[2], ARGV[4]
local keep, ttl = tonumber(ARGV[5]), tonumber(ARGV[6])
local dense = ties == "dense"

-- Integers up to this are exact in a score.
local MOST = 9007199254740991

if redis.call("EXISTS", order) == 1 and (redis.call("EXISTS", distinct) == 1) ~= dense then
  return redis.error_reply("TIES the board is kept for other ties")
end

local function text(points)
  return string.format("%.0f", points)
end

local function take_out(entry, points)
  redis.call("ZREM", order, entry)
  if dense and redis.call("ZCOUNT", order, points, points) == 0 then
    redis.call("ZREM", distinct, points)
  end
end

local function take_off(entry, points)
  take_out(entry, points)
  redis.call("HDEL", arrivals, string.sub(entry, 17))
end

local function rank(entry, points)
  if ties == "ordinal" then
    return redis.call("ZRANK", order, entry) + 1
  end
  return redis.call("ZCOUNT", dense and distinct or order, "-inf", "(" .. text(points)) + 1
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
  arrival = string.format("%016.0f", redis.call("INCR", counter))
  redis.call("ZADD", order, points, arrival .. member)
  redis.call("HSET", arrivals, member, arrival)
  if dense then
    redis.call("ZADD", distinct, points, points)
  end
  if before then
    take_out(old .. member, before)
  end
end

if keep > 0 then
  local rest = redis.call("ZRANGE", order, keep, -1, "WITHSCORES")
  for i = 1, #rest, 2 do
    take_off(rest[i], tonumber(rest[i + 1]))
  end
end

if ttl > 0 and (ARGV[7] == "last" or redis.call("PTTL", order) < 0) then
  for _, key in ipairs(KEYS) do
    redis.call("PEXPIRE", key, ttl)
  end
end

local entry = arrival .. member
local on_board = redis.call("ZSCORE", order, entry)
return {changed and 1 or 0, text(points), on_board and rank(entry, points) or 0}
