-- larder: touches only its KEYS
-- Writes an entry that was loaded, if the right to fill it was not lost meanwhile.
--
-- Whoever writes or deletes the entry removes the lease: what was loaded before that is too old.
--
-- KEYS[1]  the entry
-- KEYS[2]  the lease: the token of whoever fills the entry
-- ARGV[1]  the caller's token
-- ARGV[2]  the entry
-- ARGV[3]  milliseconds for which it is kept, 0 for no end
--
-- Returns 1 if it was written, else 0

if redis.call("GET", KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[2])
if ARGV[3] == "0" then
  redis.call("SET", KEYS[1], ARGV[2])
else
  redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
end
return 1
