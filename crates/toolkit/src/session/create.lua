-- Makes a session.
--
-- ARGV[1]  its digest
-- ARGV[2]  its data
-- ARGV[3]  milliseconds that it lasts without being seen
-- ARGV[4]  milliseconds that it lasts at most
-- ARGV[5]  how many sessions the user may have, 0 for any number
-- ARGV[6]  1 if one more is refused; 0 if the one goes that would expire first
--
-- Returns {version; when it was made, was seen, expires, and ends at the latest}

mend()
local most, leaving = tonumber(ARGV[5]), {}
if most > 0 then
  if ARGV[6] == "1" and redis.call("ZCOUNT", KEYS[2], "(" .. text(now), "+inf") >= most then
    return redis.error_reply("TOOMANY the user has as many sessions as are allowed")
  end
  leaving = redis.call("ZRANGE", KEYS[2], 0, -most)
end
local session = {
  version = 1, created = now, seen = now, idle = tonumber(ARGV[3]), absolute = tonumber(ARGV[4]),
  save = "0",
}
-- First what a full store refuses: nobody has to leave for a session that is not made.
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
put(ARGV[1], session)
remove(leaving)
prune()
return shown(session)
