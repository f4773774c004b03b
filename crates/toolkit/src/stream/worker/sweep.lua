-- larder: touches only its KEYS
-- Removes the consumers of a group that have nothing pending and were not heard of for long.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer that sweeps, which stays
-- ARGV[3]  milliseconds of silence after which a consumer is removed
--
-- Returns how many were removed

local stream, group, consumer, silence = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])

local removed = 0
for _, info in ipairs(redis.call("XINFO", "CONSUMERS", stream, group)) do
  local other = {}
  for i = 1, #info, 2 do
    other[info[i]] = info[i + 1]
  end
  if other["name"] ~= consumer and other["pending"] == 0 and other["idle"] >= silence then
    redis.call("XGROUP", "DELCONSUMER", stream, group, other["name"])
    removed = removed + 1
  end
end
return removed
