-- Changes the data of a session that nobody has changed meanwhile.
--
-- ARGV[1]  its digest
-- ARGV[2]  the version that the change was made from
-- ARGV[3]  the new data
-- ARGV[4]  the id of this save
--
-- Returns {2; {version; when it was made, was seen, expires, and ends at the latest}; nothing} if
-- that is done; {1; the same of the session as it is; its data} if somebody else was first; {0; nothing;
-- the word of where it went, or nothing} if there is no such session

local session = get(ARGV[1])
if not session then
  return { 0, false, redis.call("GET", KEYS[3]) }
end
if session.version == ARGV[2] + 1 and session.save == ARGV[4] then
  -- By a call whose answer was lost.
  return { 2, shown(session), false }
end
if session.version ~= tonumber(ARGV[2]) then
  return { 1, shown(session), redis.call("HGET", KEYS[1], ARGV[1]) }
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
session.version, session.seen, session.save = session.version + 1, now, ARGV[4]
put(ARGV[1], session)
prune()
return { 2, shown(session), false }
