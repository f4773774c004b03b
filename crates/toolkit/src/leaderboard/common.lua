-- larder: touches only its KEYS
-- What the scripts of a board share.
--
-- KEYS[1]  sorted set: `arrival member` by points, of which fewer are better; an arrival is a number of 16
--          digits
-- KEYS[2]  hash: the arrival of each member
-- KEYS[3]  sorted set of the points that occur, by themselves; only on boards of dense ranks
--
-- A store that is full may evict one of them alone. What is lost with the first is the board. The second
-- can be made again from the first, by mend.lua: a script that needs it fails with LOST where it does not
-- have as many members.

local order, arrivals, distinct = KEYS[1], KEYS[2], KEYS[3]

local len = redis.call("ZCARD", order)

local ties_refused = redis.error_reply("TIES the board is kept for other ties")
local lost_refused = redis.error_reply("LOST the arrivals are others than those of the members")

local function is_dense()
  return redis.call("EXISTS", distinct) == 1
end

local function is_lost()
  return redis.call("HLEN", arrivals) ~= len
end
