-- Lets a consumer go. What it has not finished may be taken over at once, and its delivery does not
-- count: it did not fail.
--
-- ARGV[4...]  two for each entry that it has in hand: its id, and how often it was delivered
--
-- Returns how many entries it leaves behind; without any the consumer is removed

for i = 4, #ARGV, 2 do
  local id, deliveries = ARGV[i], ARGV[i + 1]
  if is_ours(id, deliveries) then
    redis.call("XCLAIM", stream, group, consumer, 0, id, "RETRYCOUNT", deliveries - 1, "JUSTID")
  end
end

local left = #redis.call("XPENDING", stream, group, "-", "+", #ARGV + 1000, consumer)
if left == 0 then
  redis.call("XGROUP", "DELCONSUMER", stream, group, consumer)
  redis.call("ZREM", alive, consumer)
else
  redis.pcall("ZADD", alive, 0, consumer)
end
return left
