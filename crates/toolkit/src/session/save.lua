-- Changes the data of a session that nobody has changed meanwhile.
--
-- ARGV[1]  its digest
-- ARGV[2]  milliseconds that it lasts without being seen
-- ARGV[3]  the version that the change was made from
-- ARGV[4]  the new data
--
-- Returns {0, {}} if there is no such session; {1, {the version}} if it is another one; else
-- {2, {version; when it was made, was seen, expires, and ends at the latest}}

local session = get(ARGV[1], tonumber(ARGV[2]))
if not session then
  prune()
  return { 0, {} }
end
if session.version ~= tonumber(ARGV[3]) then
  return { 1, { session.version } }
end
session.version = session.version + 1
session.seen = now
redis.call("HSET", KEYS[1], ARGV[1], ARGV[4])
put(ARGV[1], session)
prune()
return { 2, shown(session) }
