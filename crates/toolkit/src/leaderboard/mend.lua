
-- Makes a part again of the arrivals, and of the points that occur, of which one was lost.
--
-- ARGV[1]  the position from which on, from 0
-- ARGV[2]  how many
--
-- Returns how many there are from that position on, up to ARGV[2]

if len == 0 then
  redis.call("UNLINK", arrivals, distinct)
  return 0
end
local dense = is_dense()
local entries = redis.call("ZRANGE", order, ARGV[1], ARGV[1] + ARGV[2] - 1, "WITHSCORES")
if redis.call("HLEN", arrivals) > len then
  redis.call("UNLINK", arrivals)
end
for i = 1, #entries, 2 do
  redis.call("HSET", arrivals, string.sub(entries[i], 17), string.sub(entries[i], 1, 16))
  if dense then
    redis.call("ZADD", distinct, entries[i + 1], entries[i + 1])
  end
end
local ttl = redis.call("PTTL", order)
if ttl > 0 then
  redis.call("PEXPIRE", arrivals, ttl)
  redis.call("PEXPIRE", distinct, ttl)
end
return #entries / 2
