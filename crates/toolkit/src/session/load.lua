-- Gives a session, and notes that it was seen.
--
-- ARGV[1]  its digest
--
-- Returns {data; {version; when it was made, was seen, expires, and ends at the latest}; nothing},
-- or {nothing; nothing; the word of where it went, or nothing} if there is no such session

local session = get(ARGV[1])
local data = session and redis.call("HGET", KEYS[1], ARGV[1])
if not data then
  return { false, false, redis.call("GET", KEYS[3]) }
end

-- A page of fifty requests is one write.
if now - session.seen >= session.idle / 100 then
  local seen = session.seen
  session.seen = now
  -- A store that is full, or that may only be read, refuses: the session is given all the same.
  if pcall(put, ARGV[1], session) then
    keep()
  else
    session.seen = seen
  end
end
return { data, shown(session), false }
