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
-- Returns for each delivery 1 if it is ended, 0 if it was not this consumer's, and 2 if the store
-- refused to note what is to become of the entry, as one that is full does: it stays pending, as if
-- the consumer had crashed, and does not hold up the others

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
  return redis.pcall("XADD", dead, "MAXLEN", "~", kept, "*", unpack(letter))
end

local function settle(id, deliveries, how, delay, message)
  if not is_ours(id, deliveries) then
    return 0
  end
  local noted
  if how == "retry" then
    noted = redis.pcall("ZADD", retries, now + delay, id)
  elseif how == "dead" then
    noted = bury(id, deliveries, message)
  end
  if type(noted) == "table" and noted.err then
    return 2
  end
  if how ~= "retry" then
    redis.call("XACK", stream, group, id)
  end
  return 1
end

local answers = {}
for i = 4, #ARGV, 5 do
  table.insert(answers, settle(unpack(ARGV, i, i + 4)))
end
return answers
