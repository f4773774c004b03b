-- larder: touches only its KEYS
-- Extends the right to fill an entry, or gives it back.
--
-- KEYS[1]  the lease: the token of whoever fills the entry
-- ARGV[1]  the caller's token
-- ARGV[2]  milliseconds for which the lease is granted from now on, 0 to give it back
--
-- Returns 1 if the caller had the lease, else 0

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call("PEXPIRE", KEYS[1], ARGV[2])
