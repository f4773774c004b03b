-- Keeps a schedule. One that is there already, with the same expression, keeps its next tick: each
-- instance of a program says its schedules when it starts.
--
-- KEYS[1]  sorted set: schedules, by when their next tick is due, by the store's clock
-- KEYS[2]  hash: their expressions
-- KEYS[3]  hash: their bodies
-- ARGV[1]  its name
-- ARGV[2]  its expression
-- ARGV[3]  the body
-- ARGV[4]  when its next tick is due
--
-- Returns 1 if it is new or has changed, 0 if it was there

local is_known = redis.call("HGET", KEYS[2], ARGV[1]) == ARGV[2]
  and redis.call("ZSCORE", KEYS[1], ARGV[1])
redis.call("HSET", KEYS[3], ARGV[1], ARGV[3])
if is_known then
  return 0
end
redis.call("HSET", KEYS[2], ARGV[1], ARGV[2])
redis.call("ZADD", KEYS[1], ARGV[4], ARGV[1])
return 1
