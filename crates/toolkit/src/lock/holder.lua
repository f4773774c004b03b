-- larder: touches only its KEYS
-- Looks who holds a lock.
--
-- KEYS[1]  the lock
--
-- Returns {fencing token, milliseconds until the lock expires}, or nil if the lock is free

local token = redis.call("HGET", KEYS[1], "token")
if not token then
  return false
end
return {tonumber(token), redis.call("PTTL", KEYS[1])}
