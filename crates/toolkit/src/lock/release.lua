-- larder: touches only its KEYS
-- Gives a lock back, if the request still holds it, and wakes those who wait for it.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fencing token given
-- ARGV[1]  the request that holds it
-- ARGV[2]  the channel on which waiters listen
-- ARGV[3]  milliseconds for which the last token is remembered
-- ARGV[4]  the command that tells them: PUBLISH, or SPUBLISH where messages have shards
--
-- Returns 1 if the request held the lock, else 0

local held = redis.call("HMGET", KEYS[1], "owner", "token")
if held[1] ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[1])
-- A store that is full may not take the last token anew, and the lock is free all the same.
if redis.call("PEXPIRE", KEYS[2], ARGV[3]) == 0 then
  redis.pcall("SET", KEYS[2], held[2], "PX", ARGV[3])
end
redis.call(ARGV[4], ARGV[2], "released")
return 1
