-- larder: touches only its KEYS
-- Reads the version of a tag, or of a namespace, for an entry that is going to be written, and makes one
-- if there is none.
--
-- A version is a random number and never used twice. To invalidate is to remove it: entries from before
-- that have a version that does not come back, and so they have if it was lost or has expired.
--
-- KEYS[1]  the tag: its version
-- ARGV[1]  milliseconds for which the entry is kept, 0 for no end
-- ARGV[2]  the version if there is none
--
-- Returns the version

local version = redis.call("GET", KEYS[1])
local kept = tonumber(ARGV[1])
if not version then
  if kept > 0 then
    redis.call("SET", KEYS[1], ARGV[2], "PX", 2 * kept)
  else
    redis.call("SET", KEYS[1], ARGV[2])
  end
  return ARGV[2]
end
-- The tag outlives its entries. Twice their time, so that not every entry has to extend it.
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and kept == 0 then
  redis.call("PERSIST", KEYS[1])
elseif left >= 0 and left < kept then
  redis.call("PEXPIRE", KEYS[1], 2 * kept)
end
return version
