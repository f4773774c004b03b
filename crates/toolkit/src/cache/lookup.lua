-- larder: touches only its KEYS
-- Gives the right to fill an entry to one caller at a time, unless somebody has filled it already.
--
-- KEYS[1]  the entry
-- KEYS[2]  the lease: the token of whoever fills the entry
-- ARGV[1]  the caller's token
-- ARGV[2]  milliseconds for which the lease is granted
-- ARGV[3]  the first bytes of the entry that the caller has seen and can't use, empty if there was none
--
-- Returns {2, the entry} if it is another than the caller has seen,
--         {1, ""} if the caller has the lease now,
--         {0, ""} if somebody else has it

local entry = redis.call("GET", KEYS[1])
if entry and string.sub(entry, 1, 9) ~= ARGV[3] then
  return {2, entry}
end
-- The token may be there already: a caller whose answer was lost asks again, and one that takes
-- over from another caller of its process has inherited it.
local holder = redis.call("GET", KEYS[2])
if holder and holder ~= ARGV[1] then
  return {0, ""}
end
redis.call("SET", KEYS[2], ARGV[1], "PX", ARGV[2])
return {1, ""}
