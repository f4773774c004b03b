-- larder: touches only its KEYS
-- Gives a lock back, if the request still holds it, and wakes those who wait for it.
--
-- KEYS[1]  the lock
-- ARGV[1]  the request that holds it
-- ARGV[2]  the channel on which waiters listen
--
-- Returns 1 if the request held the lock, else 0

if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[1])
redis.call("PUBLISH", ARGV[2], "released")
return 1
