-- larder: touches only its KEYS
-- Adds an entry, and drops those that are too old.
--
-- KEYS[1]  the stream
-- ARGV[1]  milliseconds that an entry may be old
-- ARGV[2]  the body
--
-- Returns the id of the entry

local time = redis.call("TIME")
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
return redis.call(
  "XADD", KEYS[1], "MINID", "~", math.max(oldest, 0), "*", "body", ARGV[2])
