-- larder: touches only its KEYS
-- Takes a member off a board.
--
-- KEYS[1]  sorted set: `arrival member` by points
-- KEYS[2]  hash: the arrival of each member
-- KEYS[3]  sorted set of the points that occur; only on boards of dense ranks
-- KEYS[4]  how many arrivals there were
-- ARGV[1]  the member
--
-- Returns 1 if it was on the board, else 0

local order, arrivals, distinct, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local member = ARGV[1]

local arrival = redis.call("HGET", arrivals, member)
if not arrival then
  return 0
end

local points = redis.call("ZSCORE", order, arrival .. member)
redis.call("ZREM", order, arrival .. member)
redis.call("HDEL", arrivals, member)
if redis.call("ZCOUNT", order, points, points) == 0 then
  redis.call("ZREM", distinct, tonumber(points))
end
if redis.call("EXISTS", order) == 0 then
  redis.call("DEL", counter)
end
return 1
