-- Makes a group, if there is none of this name.
--
-- A group that has gone alone is made anew where it last was, and one that has gone with its stream
-- at the beginning of the new stream. They are told apart by a mark that goes with the stream and
-- stays when a group goes: a group of our own, whose consumers are named as the groups are.
--
-- KEYS[1]  the stream
-- KEYS[2]  where the group last was
-- ARGV[1]  the group
-- ARGV[2]  the id behind which it begins
-- ARGV[3]  "anew" if the group is known to have been there, else "first"
--
-- Returns 1 if it is made, 0 if there was one

local MARKS = "larder:marks"
local stream, position = KEYS[1], KEYS[2]
local group, start = ARGV[1], ARGV[2]

local function is_marked()
  local marks = redis.pcall("XINFO", "CONSUMERS", stream, MARKS)
  for _, mark in ipairs(marks.err and {} or marks) do
    if by_name(mark)["name"] == group then
      return true
    end
  end
  return false
end

if ARGV[3] == "anew" then
  start = is_marked() and (redis.call("GET", position) or start) or "0"
end

local made = redis.pcall("XGROUP", "CREATE", stream, group, start, "MKSTREAM")
if made.err and not string.find(made.err, "BUSYGROUP", 1, true) then
  return made
end

redis.pcall("XGROUP", "CREATE", stream, MARKS, "0")
redis.call("XGROUP", "CREATECONSUMER", stream, MARKS, group)
if made.err then
  return 0
end
for _, info in ipairs(redis.call("XINFO", "GROUPS", stream)) do
  local about = by_name(info)
  if about["name"] == group then
    redis.call("SET", position, about["last-delivered-id"])
  end
end
return 1
