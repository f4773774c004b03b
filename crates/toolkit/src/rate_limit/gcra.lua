-- larder: touches only its KEYS
-- Takes permits from a bucket that fills at an even rate (GCRA): what decide.lua does for a single
-- limit of that kind without a block, which most limiters are, in a fraction of its time.
--
-- KEYS[1]  the bucket: the time, in microseconds, at which it will be full
-- ARGV[1]  permits wanted, from 1 to ARGV[2]
-- ARGV[2]  permits in a full bucket
-- ARGV[3]  microseconds in which one permit comes back
--
-- Returns as decide.lua does

local wanted, size, interval = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- The store's clock, never the callers': theirs do not agree.
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]

local full = math.max(tonumber(redis.call("GET", KEYS[1]) or now), now)
local after = full + wanted * interval
local empty = now + size * interval
if after > empty then
  local left = math.floor((empty - full) / interval)
  return {0, math.max(left, 0), after - empty, full - now, 0}
end
-- The moment of expiry is rounded up to the millisecond, as in decide.lua.
redis.call("SET", KEYS[1], after, "PXAT", math.ceil(after / 1000))
return {1, math.floor((empty - after) / interval), 0, after - now, 0}
