
-- The permits of this window, and of the one before as if they had been taken evenly. Windows are aligned
-- to the clock.
--
-- Its numbers are the length of the window and that of a slice, in microseconds: by slices the window
-- before goes. The state is a text of three numbers: of when it is, the permits taken in the window of
-- that time, and those in the one before.

local sliding_counter = {}
kinds["sliding-counter"] = sliding_counter

local function keep(limit)
  if limit.used == 0 and limit.before == 0 then
    redis.call("DEL", limit.key)
    return
  end
  local windows = limit.used > 0 and 2 or 1
  local state = string.format("%.0f %.0f %.0f", now, limit.used, limit.before)
  set_until(limit.key, state, (limit.number + windows) * limit.window)
end

-- The slices of the window before that still count at this time.
local function slices_left(limit, moment)
  return math.ceil((limit.window - moment % limit.window) / limit.slice)
end

function sliding_counter.read(key, size, window, slice)
  local limit = {key = key, size = size, window = window, slice = slice, used = 0, before = 0}
  limit.number, limit.slices = math.floor(now / window), math.ceil(window / slice)
  local at, used, before = string.match(redis.call("GET", key) or "", "^(%d+) (%d+) (%d+)$")
  if at then
    at, used, before = tonumber(at), math.min(tonumber(used), size), math.min(tonumber(before), size)
    local ahead = math.floor(at / window) - limit.number
    if ahead > 0 then
      -- What counted at that time counts as taken now.
      used = used + math.ceil(before * slices_left(limit, at) / limit.slices)
      limit.used = math.min(used, size)
      keep(limit)
    elseif ahead == 0 then
      limit.used, limit.before = used, before
    elseif ahead == -1 then
      limit.before = used
    end
  end
  limit.left = slices_left(limit, now)
  local free = (size - limit.used) * limit.slices - limit.before * limit.left
  limit.free = math.max(math.floor(free / limit.slices), 0)
  return limit
end

-- How far into a window the slices of the window before, with so many permits, leave room for others.
local function moment_of_room(limit, before, room)
  local slices = math.floor(room * limit.slices / before)
  return math.max(limit.window - slices * limit.slice, 0)
end

function sliding_counter.wait(limit, count)
  local elapsed = now % limit.window
  local room = limit.size - limit.used - count
  if room >= 0 then
    return moment_of_room(limit, limit.before, room) - elapsed
  end
  return limit.window - elapsed + moment_of_room(limit, limit.used, limit.size - count)
end

function sliding_counter.reset(limit, count)
  local left = limit.window - now % limit.window
  if limit.used + count > 0 then
    return left + limit.window
  end
  return limit.before > 0 and left or 0
end

function sliding_counter.take(limit, count)
  limit.used = limit.used + count
  keep(limit)
  return limit.number
end

function sliding_counter.give(limit, count, _, mark)
  if mark == limit.number then
    limit.used = math.max(limit.used - count, 0)
  elseif mark == limit.number - 1 then
    limit.before = math.max(limit.before - count, 0)
  else
    return
  end
  keep(limit)
end
