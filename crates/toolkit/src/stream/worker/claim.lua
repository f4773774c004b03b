-- Takes over entries: retries that are due, what dead consumers have left, and what is this
-- consumer's own but not in its hands. What it is at work on stays where it is.
--
-- ARGV[4]  how many entries at most
-- ARGV[5]  "own" if its own are looked for
-- ARGV[6]  "silent" if consumers without a sign of life are dead, else those alone that have left
-- ARGV[7...]  entries that the consumer is at work on
--
-- Returns {entries, each {id, how often it was delivered with this, body or nil};
--   how many entries were gone, and are acknowledged;
--   milliseconds until the next retry is due, -1 if there is none}

local most, page = tonumber(ARGV[4]), tonumber(ARGV[4]) + #ARGV - 6

local at_work = {}
for i = 7, #ARGV do
  at_work[ARGV[i]] = true
end

local taken, gone = {}, 0

local function take(id, deliveries)
  -- From here on it is this consumer's own, and is not to be taken for left behind.
  at_work[id] = true
  local entry = redis.call("XCLAIM", stream, group, consumer, 0, id)[1]
  if entry then
    table.insert(taken, {id, deliveries + 1, body_of(entry[2])})
  else
    -- It was deleted or trimmed: nobody can handle it any more.
    redis.call("XACK", stream, group, id)
    gone = gone + 1
  end
end

local function take_from(whose)
  if #taken == most then
    return
  end
  for _, found in ipairs(redis.call("XPENDING", stream, group, "-", "+", page, whose)) do
    if #taken < most and not at_work[found[1]] then
      take(found[1], found[4])
    end
  end
end

local until_due = -1
local waiting = redis.call("ZRANGE", retries, 0, page, "WITHSCORES")
for i = 1, #waiting, 2 do
  local id, due = waiting[i], tonumber(waiting[i + 1])
  if not at_work[id] then
    if due > now or #taken == most then
      until_due = math.max(0, due - now)
      break
    end
    redis.call("ZREM", retries, id)
    local whose, deliveries = pending(id)
    if whose == PARKED then
      take(id, deliveries)
    end
  end
end

if ARGV[5] == "own" then
  take_from(consumer)
end

-- Those that have left have 0 there.
local dead_since = ARGV[6] == "silent" and now - idle or 0
for _, other in ipairs(redis.call("ZRANGEBYSCORE", alive, "-inf", dead_since)) do
  if other ~= consumer then
    take_from(other)
  end
end

note_position()
return {taken, gone, until_due}
