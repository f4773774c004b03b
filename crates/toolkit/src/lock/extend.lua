-- larder: touches only its KEYS
-- Lets a lock live longer, if the request still holds it. A longer life is never cut short.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fencing token given
-- ARGV[1]  the request that holds it
-- ARGV[2]  milliseconds for which it wants it, from now
-- ARGV[3]  milliseconds for which the last token is remembered
--
-- Returns 1 if the request holds the lock, else 0

local held = redis.call("HMGET", KEYS[1], "owner", "token")
if held[1] ~= ARGV[1] then
  return 0
end
if redis.call("PTTL", KEYS[1]) < tonumber(ARGV[2]) then
  redis.call("PEXPIRE", KEYS[1], ARGV[2])
end
-- The last token is remembered from the end of the lock, not from its beginning. A store that is full
-- may not take it anew, and the lock is extended all the same.
if redis.call("PEXPIRE", KEYS[2], ARGV[3]) == 0 then
  redis.pcall("SET", KEYS[2], held[2], "PX", ARGV[3])
end
return 1
