-- larder: touches only its KEYS
-- Takes over pending entries: retries that are due, and what crashed consumers have left.
--
-- KEYS[1]  the stream
-- KEYS[2]  sorted set: entries that wait for their retry, by the millisecond at which it is due
-- ARGV[1]  the group
-- ARGV[2]  the consumer that takes over
-- ARGV[3]  milliseconds without a sign of life after which an entry counts as left
-- ARGV[4]  how many entries at most
-- ARGV[5]  the id from which to look for entries that were left
-- ARGV[6]  the consumer whose entries may be taken, or "" for all
-- ARGV[7...]  entries that the consumer is at work on
--
-- Returns {entries, each {id, how often it was delivered with this, body or nil};
--   how many entries were gone, and are acknowledged;
--   the id from which to look on, "" if there are no more;
--   milliseconds until the next retry is due, -1 if there is none}

local stream, retries = KEYS[1], KEYS[2]
local group, consumer, idle, from, whose = ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[6]
local most = tonumber(ARGV[4])

-- How many pending entries one call looks at.
local PAGE = 100

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local at_work = {}
for i = 7, #ARGV do
  at_work[ARGV[i]] = true
end

local taken, gone = {}, 0

local function body(fields)
  for i = 1, #fields, 2 do
    if fields[i] == "body" then
      return fields[i + 1]
    end
  end
  return false
end

local function take(id, deliveries)
  local entry = redis.call("XCLAIM", stream, group, consumer, 0, id)[1]
  if entry then
    table.insert(taken, {id, deliveries + 1, body(entry[2])})
  else
    -- It was deleted or trimmed: nobody can handle it any more.
    redis.call("XACK", stream, group, id)
    gone = gone + 1
  end
end

local due = redis.call("ZRANGEBYSCORE", retries, "-inf", now, "LIMIT", 0, most)
for _, id in ipairs(due) do
  redis.call("ZREM", retries, id)
  local pending = redis.call("XPENDING", stream, group, id, id, 1)[1]
  if pending then
    take(id, pending[4])
  end
end

local next_from = from
if #taken < most then
  next_from = ""
  local page
  if whose == "" then
    page = redis.call("XPENDING", stream, group, "IDLE", idle, from, "+", PAGE)
  else
    page = redis.call("XPENDING", stream, group, "IDLE", idle, from, "+", PAGE, whose)
  end
  for i, pending in ipairs(page) do
    local id = pending[1]
    if #taken == most then
      next_from = id
      break
    end
    if not at_work[id] and not redis.call("ZSCORE", retries, id) then
      take(id, pending[4])
    end
    if i == PAGE then
      next_from = "(" .. id
    end
  end
end

local until_due = -1
local first = redis.call("ZRANGE", retries, 0, 0, "WITHSCORES")
if first[2] then
  until_due = math.max(0, first[2] - now)
end
return {taken, gone, next_from, until_due}
