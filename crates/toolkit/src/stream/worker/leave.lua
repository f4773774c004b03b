-- larder: touches only its KEYS
-- Lets a consumer go: what it has not finished may be taken over at once.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer
-- ARGV[3]  milliseconds without a sign of life after which an entry counts as left
--
-- Returns how many entries it leaves behind, of up to 1000; without any the consumer is removed

local stream, group, consumer, idle = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local page = redis.call("XPENDING", stream, group, "-", "+", 1000, consumer)
for _, pending in ipairs(page) do
  redis.call("XCLAIM", stream, group, consumer, 0, pending[1], "IDLE", idle, "JUSTID")
end
if #page == 0 then
  redis.call("XGROUP", "DELCONSUMER", stream, group, consumer)
end
return #page
