-- Keeps a value that is to be added later.
--
-- KEYS[1]  sorted set: what is to be added, by when it is due
-- KEYS[2]  hash: the bodies of it
-- KEYS[3]  the clock
-- ARGV[1]  its name
-- ARGV[2]  "in" or "at"
-- ARGV[3]  the milliseconds from now, or the millisecond since the beginning of 1970, at which it is due
-- ARGV[4]  the body

local now, shown = time_of(KEYS[3])
local due = now + ARGV[3]
if ARGV[2] == "at" then
  due = due - shown
end
redis.call("HSET", KEYS[2], ARGV[1], ARGV[4])
redis.call("ZADD", KEYS[1], due, ARGV[1])
return 1
