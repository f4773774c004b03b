-- Ends all sessions of a user.
--
-- Returns how many there were

prune()
local count = redis.call("ZCARD", KEYS[2])
redis.call("DEL", KEYS[1], KEYS[2])
return count
