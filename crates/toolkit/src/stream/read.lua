-- Reads entries, and says how many were trimmed before they were read.
--
-- KEYS[1]  the stream
-- ARGV[1]  the id behind which to begin
-- ARGV[2]  how many entries at most
-- ARGV[3]  how many entries the stream ever had up to that id, "" if that is not known
--
-- Returns {the entries; how many were missed; how many entries the stream ever had up to the last of
--   them, nil if that can't be known: before Redis 7, and after entries were deleted in the middle}

local stream, last, seen = KEYS[1], ARGV[1], tonumber(ARGV[3])
local entries = redis.call("XRANGE", stream, "(" .. last, "+", "COUNT", ARGV[2])
if redis.call("EXISTS", stream) == 0 then
  return {entries, 0, false}
end

local about = by_name(redis.call("XINFO", "STREAM", stream))
local ever, length = about["entries-added"], about["length"]
local first, deleted = about["first-entry"], about["max-deleted-entry-id"]
if not ever or (first and not is_before(deleted, first[1])) then
  return {entries, 0, false}
end

-- All that are not there any more were trimmed, from the beginning.
local trimmed, missed = ever - length, 0
if last == "0-0" then
  seen = trimmed
elseif seen and seen < trimmed then
  missed, seen = trimmed - seen, trimmed
end
if #entries < tonumber(ARGV[2]) then
  seen = ever
elseif seen then
  seen = seen + #entries
end
return {entries, missed, seen or false}
