
-- So many in a window that begins with the first permit taken.
--
-- Its number is the length of the window, in microseconds. The state is a text of two numbers: when the
-- window began, and the permits taken in it.

local fixed_window = {}
kinds["fixed-window"] = fixed_window

local function keep(limit)
  if limit.used == 0 then
    redis.call("DEL", limit.key)
    return
  end
  set_until(limit.key, string.format("%.0f %.0f", limit.begin, limit.used), limit.begin + limit.window)
end

function fixed_window.read(key, size, window)
  local limit = {key = key, window = window, begin = now, used = 0}
  local begin, used = string.match(redis.call("GET", key) or "", "^(%d+) (%d+)$")
  begin = tonumber(begin)
  if begin and begin + window > now then
    limit.begin, limit.used = math.min(begin, now), math.min(tonumber(used), size)
    if begin > now then
      keep(limit)
    end
  end
  limit.free = size - limit.used
  return limit
end

function fixed_window.wait(limit)
  return limit.begin + limit.window - now
end

function fixed_window.reset(limit, count)
  return limit.used + count > 0 and limit.begin + limit.window - now or 0
end

function fixed_window.take(limit, count)
  limit.used = limit.used + count
  keep(limit)
  return limit.begin
end

function fixed_window.give(limit, count, _, mark)
  if mark == limit.begin then
    limit.used = math.max(limit.used - count, 0)
    keep(limit)
  end
end
