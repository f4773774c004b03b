-- Makes a session.
--
-- ARGV[1]  its digest
-- ARGV[2]  its data
-- ARGV[3]  milliseconds that it lasts without being seen
-- ARGV[4]  milliseconds that it lasts at most
-- ARGV[5]  how many sessions the user may have, 0 for any number; the one that would expire first goes
--
-- Returns {version; when it was made, was seen, expires, and ends at the latest}

prune()
local most = tonumber(ARGV[5])
if most > 0 then
  remove(redis.call("ZRANGE", KEYS[2], 0, -most))
end
local session = {
  version = 1, created = now, seen = now, ends = now + ARGV[4], idle = tonumber(ARGV[3]),
}
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
put(ARGV[1], session)
prune()
return shown(session)
