-- Ends all sessions of a user.
--
-- Returns how many there were

mend()
local count = redis.call("ZCOUNT", KEYS[2], "(" .. text(now), "+inf")
redis.call("DEL", KEYS[1], KEYS[2])
return count
