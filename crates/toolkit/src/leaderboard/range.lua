
-- Reads the members of a board that have points in a range, best first.
--
-- ARGV[1]  the ties: "competition", "ordinal" or "dense"
-- ARGV[2]  the fewest points
-- ARGV[3]  the most points
-- ARGV[4]  how many members at most
--
-- Returns {position of the first; its rank; {entry, points, entry, points, ...}}, or an error TIES
-- or LOST

local ties, fewest, most, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local refused = ties == "dense" and len > 0 and no_dense_ranks()
if refused then
  return refused
end

local found =
  redis.call("ZRANGE", order, fewest, most, "BYSCORE", "LIMIT", 0, limit, "WITHSCORES")
local first = redis.call("ZCOUNT", order, "-inf", "(" .. fewest)
local rank = first + 1
if ties == "dense" then
  rank = redis.call("ZCOUNT", distinct, "-inf", "(" .. fewest) + 1
end
return {first, rank, found}
