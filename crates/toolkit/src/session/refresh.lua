-- Notes that a session was seen.
--
-- ARGV[1]  its digest
-- ARGV[2]  milliseconds that it lasts without being seen
--
-- Returns 1, or 0 if there is no such session

local session = get(ARGV[1], tonumber(ARGV[2]))
if session then
  session.seen = now
  put(ARGV[1], session)
end
prune()
return session and 1 or 0
