-- Adds the value of a schedule whose tick is due, and notes its next tick: once for each tick,
-- however many ask for it.
--
-- KEYS[1]  the stream
-- KEYS[2]  sorted set: schedules, by when their next tick is due
-- KEYS[3]  hash: their bodies
-- ARGV[1]  its name
-- ARGV[2]  when the tick was due
-- ARGV[3]  when the next is due
-- ARGV[4]  "add", or "move" if the tick is only to be moved
-- ARGV[5]  the stream's trim, and
-- ARGV[6]  its bound
--
-- Returns 1 if it was done, 0 if another was faster

local is_here = tonumber(redis.call("ZSCORE", KEYS[2], ARGV[1])) == tonumber(ARGV[2])
if not is_here then
  return 0
end
if ARGV[4] == "add" then
  add(KEYS[1], redis.call("HGET", KEYS[3], ARGV[1]) or "", ARGV[5], ARGV[6])
end
redis.call("ZADD", KEYS[2], ARGV[3], ARGV[1])
return 1
