
-- Reads members of a board that follow each other, from a position or around a member.
--
-- ARGV[1]  the ties: "competition", "ordinal" or "dense"
-- ARGV[2]  the first position, from 0; with ARGV[4], from that member, and may be negative
-- ARGV[3]  how many members
-- ARGV[4]  a member, or absent
--
-- Returns {position of the first; its rank; {entry, points, entry, points, ...}}, or an error TIES or
-- LOST

local ties, first, count, member = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local none = {0, 0, {}}

if len == 0 then
  return none
end
local refused = ties == "dense" and no_dense_ranks()
if refused then
  return refused
end

if member then
  if is_lost() then
    return lost_refused
  end
  local arrival = redis.call("HGET", arrivals, member)
  if not arrival then
    return none
  end
  first = first + redis.call("ZRANK", order, arrival .. member)
  if first < 0 then
    first, count = 0, count + first
  end
end
if count <= 0 then
  return none
end

local found = redis.call("ZRANGE", order, first, first + count - 1, "WITHSCORES")
if #found == 0 then
  return none
end

local rank = first + 1
if ties ~= "ordinal" then
  rank = redis.call("ZCOUNT", ties == "dense" and distinct or order, "-inf", "(" .. found[2]) + 1
end
return {first, rank, found}
