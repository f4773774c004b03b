-- Gives a session, and notes that it was seen.
--
-- ARGV[1]  its digest
-- ARGV[2]  milliseconds that it lasts without being seen
-- ARGV[3]  milliseconds after which it is worth a write that it was seen again
--
-- Returns nothing if there is no such session, else {data; {version; when it was made, was seen,
-- expires, and ends at the latest}}

local session = get(ARGV[1], tonumber(ARGV[2]))
if not session then
  prune()
  return false
end
if now - session.seen >= tonumber(ARGV[3]) then
  session.seen = now
  put(ARGV[1], session)
  prune()
end
return { redis.call("HGET", KEYS[1], ARGV[1]), shown(session) }
