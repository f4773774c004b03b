
-- Makes a part of the lost arrivals again.
--
-- ARGV[1]  the position from which on, from 0
-- ARGV[2]  how many
--
-- Returns how many there are from that position on, up to ARGV[2]

local entries = redis.call("ZRANGE", order, ARGV[1], ARGV[1] + ARGV[2] - 1)
if redis.call("HLEN", arrivals) > len then
  redis.call("UNLINK", arrivals)
end
for _, entry in ipairs(entries) do
  redis.call("HSET", arrivals, string.sub(entry, 17), string.sub(entry, 1, 16))
end
local ttl = redis.call("PTTL", order)
if ttl > 0 then
  redis.call("PEXPIRE", arrivals, ttl)
end
return #entries
