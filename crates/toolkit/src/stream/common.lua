-- larder: touches only its KEYS
-- What all scripts on a stream share. It stands before each of them that needs it.

-- The body of an entry, false if it has none.
local function body_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == "body" then
      return fields[i + 1]
    end
  end
  return false
end

-- What INFO commands answer, by name.
local function by_name(list)
  local named = {}
  for i = 1, #list, 2 do
    named[list[i]] = list[i + 1]
  end
  return named
end

-- An id in an order that strings have: two numbers of up to 20 digits.
local function sortable(id)
  local ms, seq = string.match(id, "^(%d+)-(%d+)$")
  return string.rep("0", 20 - #ms) .. ms .. string.rep("0", 20 - #seq) .. seq
end

-- Whether the one id is smaller than the other.
local function is_before(id, other)
  return sortable(id) < sortable(other)
end

-- Adds an entry, and drops what the stream's trim says: "MAXLEN" and how many are kept, "MAXAGE" and
-- the milliseconds for which they are, or "" and nothing.
local function add(stream, body, trim, bound)
  if trim == "MAXLEN" then
    return redis.call("XADD", stream, "MAXLEN", "~", bound, "*", "body", body)
  elseif trim == "MAXAGE" then
    local time = redis.call("TIME")
    local oldest = math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - bound)
    return redis.call("XADD", stream, "MINID", "~", oldest, "*", "body", body)
  end
  return redis.call("XADD", stream, "*", "body", body)
end

-- The time of a stream in milliseconds: the store's clock, whose steps back are left out, so that
-- nobody waits for an hour a second time. `clock` is a hash:
--
--   shown  what the store's clock has shown at last
--   ahead  how far the stream's time is ahead of it: the sum of all steps back
--
-- Returns the time, and what the store's clock shows
local function time_of(clock)
  local time = redis.call("TIME")
  local shown = time[1] * 1000 + math.floor(time[2] / 1000)
  local noted = redis.call("HMGET", clock, "shown", "ahead")
  local before, ahead = tonumber(noted[1]) or 0, tonumber(noted[2]) or 0
  if shown < before then
    ahead = ahead + before - shown
  end
  if shown ~= before then
    -- A store that is full refuses it.
    redis.pcall("HSET", clock, "shown", shown, "ahead", ahead)
  end
  return shown + ahead, shown
end
