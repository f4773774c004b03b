-- larder: touches only its KEYS
-- Ends deliveries, each only if it is still this consumer's: one that was given to another in the
-- meantime is the other's to end.
--
-- KEYS[1]  the stream
-- KEYS[2]  sorted set: entries that wait for their retry, by the millisecond at which it is due
-- KEYS[3]  the stream of dead letters
-- ARGV[1]  the group
-- ARGV[2]  the consumer
-- ARGV[3]  how many dead letters are kept, about
-- ARGV[4...]  five for each delivery: the entry's id; how often it was delivered; "done", "retry" or
--   "dead"; milliseconds until the retry; the error
--
-- Returns for each delivery 1 if it was this consumer's, else 0

local stream, retries, dead = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, kept = ARGV[1], ARGV[2], ARGV[3]

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function is_ours(id, deliveries)
  local pending = redis.call("XPENDING", stream, group, id, id, 1)[1]
  return pending and pending[2] == consumer and pending[4] == tonumber(deliveries)
end

local function bury(id, deliveries, message)
  local letter = {"id", id, "deliveries", deliveries, "error", message}
  local entry = redis.call("XRANGE", stream, id, id)[1]
  local fields = entry and entry[2] or {}
  for i = 1, #fields, 2 do
    if fields[i] == "body" then
      table.insert(letter, "body")
      table.insert(letter, fields[i + 1])
    end
  end
  redis.call("XADD", dead, "MAXLEN", "~", kept, "*", unpack(letter))
end

local answers = {}
for i = 4, #ARGV, 5 do
  local id, deliveries, how, delay, message = unpack(ARGV, i, i + 4)
  local ours = is_ours(id, deliveries)
  if ours and how == "retry" then
    redis.call("ZADD", retries, string.format("%.0f", now + delay), id)
  elseif ours then
    if how == "dead" then
      bury(id, deliveries, message)
    end
    redis.call("XACK", stream, group, id)
  end
  table.insert(answers, ours and 1 or 0)
end
return answers
