-- Gives a session that nobody has changed meanwhile another id. The old one is void.
--
-- ARGV[1]  its digest
-- ARGV[2]  milliseconds that it lasts without being seen
-- ARGV[3]  the version that its data has
-- ARGV[4]  its data, sealed with the new id
-- ARGV[5]  the digest of the new id
--
-- Returns as save.lua does

local session = get(ARGV[1], tonumber(ARGV[2]))
if not session then
  prune()
  return { 0, {} }
end
if session.version ~= tonumber(ARGV[3]) then
  return { 1, { session.version } }
end
session.seen = now
redis.call("HSET", KEYS[1], ARGV[5], ARGV[4])
put(ARGV[5], session)
remove({ ARGV[1] })
prune()
return { 2, shown(session) }
