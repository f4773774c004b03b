-- larder: touches only its KEYS
-- Reads the version of a tag for an entry that is going to be written, and makes one if there is none.
--
-- A version is never used twice: it is the time of its making, and grows from there. So a tag that
-- was lost or has expired comes back with another version, and entries from before that are not
-- taken for valid.
--
-- KEYS[1]  the tag: its version
-- ARGV[1]  milliseconds for which the entry is kept, 0 for no end
--
-- Returns the version, in decimal

local version = redis.call("GET", KEYS[1])
local kept = tonumber(ARGV[1])
if not version then
  local time = redis.call("TIME")
  version = string.format("%.0f", time[1] * 1000000 + time[2])
  redis.call("SET", KEYS[1], version)
  if kept > 0 then
    redis.call("PEXPIRE", KEYS[1], 2 * kept)
  end
  return version
end
-- The tag outlives its entries. Twice their time, so that not every entry has to extend it.
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and kept == 0 then
  redis.call("PERSIST", KEYS[1])
elseif left >= 0 and left < kept then
  redis.call("PEXPIRE", KEYS[1], 2 * kept)
end
return version
