
-- An even flow: the generic cell rate algorithm of ITU-T I.371.
--
-- Its numbers are `cost`, the ticks that a permit costs, and `flow`, the ticks that come back in a
-- microsecond. The state is a text of five numbers: of when it is; the ticks missing from a full bucket;
-- the flow by which they are counted; since when some have been missing without a break; and the permits
-- taken since then.

local function gcra_us(ticks, flow)
  return math.ceil(ticks / flow)
end

local function gcra_free(missing, size, cost)
  return math.floor((size * cost - missing) / cost)
end

local function gcra_keep(key, missing, flow, since, taken)
  if missing == 0 then
    redis.call("DEL", key)
    return
  end
  local state = string.format("%.0f %.0f %.0f %.0f %.0f", now, missing, flow, since, taken)
  set_until(key, state, now + gcra_us(missing, flow))
end

-- Returns the ticks that are missing now, since when some are, and the permits taken since then.
local function gcra_read(key, size, cost, flow)
  local at, missing, by, since, taken =
    string.match(redis.call("GET", key) or "", "^(%d+) (%d+) (%d+) (%d+) (%d+)$")
  if not at then
    return 0, now, 0
  end
  at, missing, by = tonumber(at), tonumber(missing), tonumber(by)
  if by ~= flow then
    missing = math.ceil(missing / by * flow)
  end
  missing = math.max(math.min(missing, size * cost) - math.max(now - at, 0) * flow, 0)
  if missing == 0 then
    return 0, now, 0
  end
  since, taken = math.min(tonumber(since), now), tonumber(taken)
  if at > now then
    gcra_keep(key, missing, flow, since, taken)
  end
  return missing, since, taken
end
