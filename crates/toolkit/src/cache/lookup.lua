-- larder: touches only its KEYS
-- Gives the right to fill an entry to one caller at a time, unless somebody has filled it already.
--
-- KEYS[1]  the entry
-- KEYS[2]  the lease: the token of whoever fills the entry
-- ARGV[1]  the caller's token
-- ARGV[2]  milliseconds for which the lease is granted
-- ARGV[3]  the first bytes of the entry that the caller has seen and can't use, empty if there was none
-- ARGV[4]  and further: tokens of callers that have gone away, whose lease this one may take over
--
-- Returns 2 if the entry is another than the caller has seen,
--         1 if the caller has the lease now,
--         0 if somebody else has it

local entry = redis.call("GETRANGE", KEYS[1], 0, 8)
if entry ~= "" and entry ~= ARGV[3] then
  return 2
end
local holder = redis.call("GET", KEYS[2])
local is_free = not holder or holder == ARGV[1]
for number = 4, #ARGV do
  is_free = is_free or holder == ARGV[number]
end
if is_free then
  redis.call("SET", KEYS[2], ARGV[1], "PX", ARGV[2])
  return 1
end
-- A lease has more time left than it was granted only if the clock was set back.
if redis.call("PTTL", KEYS[2]) > tonumber(ARGV[2]) then
  redis.call("PEXPIRE", KEYS[2], ARGV[2])
end
return 0
