-- larder: touches only its KEYS
-- Makes every entry that has a tag invalid, by giving the tag another version.
--
-- KEYS[1]  the tag: its version
--
-- Returns 1 if there was anything to invalidate, else 0

local version = redis.call("GET", KEYS[1])
if not version then
  -- An entry of a tag without a version is invalid already.
  return 0
end
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
redis.call("SET", KEYS[1], math.max(version + 1, now), "KEEPTTL")
return 1
