-- Adds what is due to be added, and says which schedules are due.
--
-- KEYS[1]  the stream
-- KEYS[2]  sorted set: what is to be added, by when it is due
-- KEYS[3]  hash: the bodies of it
-- KEYS[4]  the clock
-- KEYS[5]  sorted set: schedules, by when their next tick is due, by the store's clock
-- KEYS[6]  hash: their expressions
-- ARGV[1]  how many are added at most
-- ARGV[2]  the stream's trim, and
-- ARGV[3]  its bound
--
-- Returns {how many were added;
--   milliseconds until the next is due, -1 if there is none;
--   what the store's clock shows;
--   schedules whose tick is due, each {name, expression, when it is due}}

local stream, delayed, bodies = KEYS[1], KEYS[2], KEYS[3]
local now, shown = time_of(KEYS[4])

local added, until_due = 0, -1
local first = redis.call("ZRANGE", delayed, 0, ARGV[1], "WITHSCORES")
for i = 1, #first, 2 do
  local name, due = first[i], tonumber(first[i + 1])
  if due > now or added == tonumber(ARGV[1]) then
    until_due = math.max(0, due - now)
    break
  end
  local body = redis.call("HGET", bodies, name)
  if body then
    add(stream, body, ARGV[2], ARGV[3])
    added = added + 1
  end
  redis.call("ZREM", delayed, name)
  redis.call("HDEL", bodies, name)
end

local ticks = {}
local due = redis.call("ZRANGEBYSCORE", KEYS[5], "-inf", shown, "WITHSCORES", "LIMIT", 0, 100)
for i = 1, #due, 2 do
  table.insert(ticks, {due[i], redis.call("HGET", KEYS[6], due[i]) or "", tonumber(due[i + 1])})
end
return {added, until_due, shown, ticks}
