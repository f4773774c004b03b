-- larder: touches only its KEYS
-- What the scripts of a board share.
--
-- KEYS[1]  sorted set: `arrival member` by points, of which fewer are better; an arrival is a number of 16
--          digits, and on boards of dense ranks is counted from an epoch of its own
-- KEYS[2]  hash: the arrival of each member
-- KEYS[3]  sorted set of the points that occur, by themselves; only on boards of dense ranks
--
-- A store that is full may evict one of them alone. What is lost with the first is the board. The others
-- can be made again from the first, by mend.lua: a script that needs one fails with LOST where the second
-- does not have as many members, or the third not the last of their points. For mend.lua goes from the
-- first points to the last, and until it is done nobody changes the board.

local order, arrivals, distinct = KEYS[1], KEYS[2], KEYS[3]

local len = redis.call("ZCARD", order)

local ties_refused = redis.error_reply("TIES the board is kept for other ties")
local lost_refused = redis.error_reply("LOST a part of the board is not that of its members")

-- When the epoch of dense ranks begins: nobody came to a board of other ties so late.
local DENSE = 5000000000000000

-- Whether it is a board of dense ranks: its entries say so, also if the points that occur are lost.
local function is_dense()
  if redis.call("EXISTS", distinct) == 1 then
    return true
  end
  local entry = redis.call("ZRANGE", order, 0, 0)[1]
  return entry ~= nil and tonumber(string.sub(entry, 1, 16)) >= DENSE
end

-- Whether a board of dense ranks lacks points that occur.
local function lacks_points()
  local last = redis.call("ZRANGE", order, -1, -1, "WITHSCORES")[2]
  local known = redis.call("ZRANGE", distinct, -1, -1)[1]
  return not known or tonumber(known) ~= tonumber(last)
end

-- Why a board with members has no dense ranks; nil if it has.
local function no_dense_ranks()
  if not lacks_points() then
    return nil
  end
  return is_dense() and lost_refused or ties_refused
end

local function is_lost()
  return redis.call("HLEN", arrivals) ~= len
end
