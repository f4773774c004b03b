
-- Takes a member off a board.
--
-- ARGV[1]  the member
--
-- Returns 1 if it was on the board, else 0; or an error LOST

if is_lost() or (is_dense() and lacks_points()) then
  return lost_refused
end

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
return 1
