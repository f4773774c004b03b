-- larder: touches only its KEYS
-- Shows that a consumer is alive and at work on its entries.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer
-- ARGV[3...]  two for each entry: its id, and how often it was delivered
--
-- Returns for each entry 1 if it is still this consumer's, else 0

local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]

local answers = {}
for i = 3, #ARGV, 2 do
  local id, deliveries = ARGV[i], tonumber(ARGV[i + 1])
  local pending = redis.call("XPENDING", stream, group, id, id, 1)[1]
  local ours = pending and pending[2] == consumer and pending[4] == deliveries
  if ours then
    -- JUSTID leaves the number of deliveries as it is.
    redis.call("XCLAIM", stream, group, consumer, 0, id, "JUSTID")
  end
  table.insert(answers, ours and 1 or 0)
end
return answers
