-- larder: touches only its KEYS
-- Lets a lock live longer, if the request still holds it. A longer life is never cut short.
--
-- KEYS[1]  the lock
-- ARGV[1]  the request that holds it
-- ARGV[2]  milliseconds for which it wants it, from now
--
-- Returns 1 if the request holds the lock, else 0

if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] then
  return 0
end
if redis.call("PTTL", KEYS[1]) < tonumber(ARGV[2]) then
  redis.call("PEXPIRE", KEYS[1], ARGV[2])
end
return 1
