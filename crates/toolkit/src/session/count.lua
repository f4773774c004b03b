-- Counts the sessions of a user.
--
-- Returns how many there are

mend()
return redis.call("ZCOUNT", KEYS[2], "(" .. text(now), "+inf")
