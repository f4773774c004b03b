-- Makes a session.
--
-- ARGV[1]  its digest
-- ARGV[2]  the user
-- ARGV[3]  its data
-- ARGV[4]  milliseconds that it lasts without being seen
-- ARGV[5]  milliseconds that it lasts at most
-- ARGV[6]  how many sessions the user may have, 0 for any number; the one that would expire first goes
--
-- Returns {version; when it was made, was seen, expires, and ends at the latest}

prune()
local most = tonumber(ARGV[6])
if most > 0 then
  remove(redis.call("ZRANGE", KEYS[2], 0, -most))
end
local session = {
  version = 1, created = now, seen = now, ends = now + ARGV[5], idle = tonumber(ARGV[4]),
}
redis.call("HSET", KEYS[1], "user", ARGV[2], ARGV[1], ARGV[3])
put(ARGV[1], session)
prune()
return shown(session)
