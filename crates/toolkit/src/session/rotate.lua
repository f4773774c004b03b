-- Gives a session another id. The old one is void.
--
-- ARGV[1]  its digest
-- ARGV[2]  milliseconds that it lasts without being seen
-- ARGV[3]  the digest of the new id
--
-- Returns as load.lua does

local session = get(ARGV[1], tonumber(ARGV[2]))
if not session then
  prune()
  return false
end
local found = redis.call("HMGET", KEYS[1], "user", ARGV[1])
session.seen = now
redis.call("HSET", KEYS[1], ARGV[3], found[2])
put(ARGV[3], session)
remove({ ARGV[1] })
prune()
return { found[1], found[2], shown(session) }
