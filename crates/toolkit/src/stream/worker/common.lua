-- larder: touches only its KEYS
-- What the scripts of a worker share. It stands before each of them, behind what all scripts on a
-- stream share.
--
-- KEYS[1]  the stream
-- KEYS[2]  sorted set: entries that wait for their retry, by when it is due
-- KEYS[3]  sorted set: consumers, by when they last showed that they are alive
-- KEYS[4]  where the group last was
-- KEYS[5]  the clock
-- ARGV[1]  the group
-- ARGV[2]  the consumer that asks
-- ARGV[3]  milliseconds without a sign of life after which a consumer is dead

local stream, retries, alive, position = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, idle = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = time_of(KEYS[5])

-- Who holds the entries that wait for a retry, so that nobody walks over them.
local PARKED = "larder:parked"

-- Whose an entry is, and how often it was delivered; nil if it is not pending.
local function pending(id)
  local found = redis.call("XPENDING", stream, group, id, id, 1)[1]
  if found then
    return found[2], found[4]
  end
end

-- Whether this delivery is still this consumer's.
local function is_ours(id, deliveries)
  local whose, count = pending(id)
  return whose == consumer and count == tonumber(deliveries)
end

-- Notes where the group is, for when it has to be made anew.
local function note_position()
  for _, info in ipairs(redis.call("XINFO", "GROUPS", stream)) do
    local about = by_name(info)
    if about["name"] == group then
      redis.pcall("SET", position, about["last-delivered-id"])
    end
  end
end
