-- Where a group stands.
--
-- KEYS[1]  the stream
-- KEYS[2]  sorted set: entries that wait for their retry
-- KEYS[3]  the stream of dead letters
-- ARGV[1]  the group
--
-- Returns nil if there is no such group, else {consumers, our own not counted; pending entries;
--   those that wait for a retry; dead letters; the last entry that was delivered; entries that were
--   not delivered, nil if nobody knows; the first entry that is not finished, nil if there is none;
--   milliseconds since the beginning of 1970}

local stream, group = KEYS[1], ARGV[1]
if redis.call("EXISTS", stream) == 0 then
  return false
end

local about
for _, info in ipairs(redis.call("XINFO", "GROUPS", stream)) do
  local named = by_name(info)
  if named["name"] == group then
    about = named
  end
end
if not about then
  return false
end

local consumers = 0
for _, info in ipairs(redis.call("XINFO", "CONSUMERS", stream, group)) do
  if string.sub(by_name(info)["name"], 1, 7) ~= "larder:" then
    consumers = consumers + 1
  end
end

local first = redis.call("XPENDING", stream, group)[2]
if not first then
  local next_entry = redis.call("XRANGE", stream, "(" .. about["last-delivered-id"], "+", "COUNT", 1)[1]
  first = next_entry and next_entry[1]
end

local time = redis.call("TIME")
return {
  consumers,
  about["pending"],
  redis.call("ZCARD", KEYS[2]),
  redis.call("XLEN", KEYS[3]),
  about["last-delivered-id"],
  about["lag"] or false,
  first or false,
  time[1] * 1000 + math.floor(time[2] / 1000),
}
