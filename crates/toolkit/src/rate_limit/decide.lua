
-- Takes permits from one limit or from several at once: from all of them or from none.
--
-- KEYS[1]  the block: the time, in microseconds, until which every request is denied; the others are
--          those of limits.lua
-- ARGV[1]  what to do: "take", "take-up-to" (as many as there are) or "peek" (decide, and take nothing)
-- ARGV[2]  permits, from 0 to the smallest size of a limit
-- ARGV[3]  microseconds for which a denial blocks, 0 for not at all
-- ARGV[4]  the first word of limits.lua
--
-- Returns {permits taken; permits left after that, in the limit that has the fewest or denies for the
--          longest; microseconds to wait before it is worth trying again, 0 if it is allowed;
--          microseconds until that limit is full again if nobody takes anything; which limit that is,
--          from 0; {the time, the mark of each limit} by which they can be given back, if they were taken}

local action, count, block = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local limits = read_limits(4)
if action == "take-up-to" then
  local free = count
  for _, limit in ipairs(limits) do
    free = math.min(free, limit.free)
  end
  count = math.min(count, math.max(free, 1))
end

-- All limits are asked before anything is taken from one of them.
local worst, index, wait, left
for i, limit in ipairs(limits) do
  local its_left = limit.free - count
  local its_wait = its_left < 0 and limit.kind.wait(limit, count) or 0
  if not worst or its_wait > wait or (its_wait == wait and its_left < left) then
    worst, index, wait, left = limit, i - 1, its_wait, its_left
  end
end

if block > 0 then
  local blocked_until = tonumber(redis.call("GET", KEYS[1]) or 0)
  if blocked_until > now + block then
    blocked_until = now + block
    set_until(KEYS[1], string.format("%.0f", blocked_until), blocked_until)
  end
  if blocked_until > now then
    -- What a limit denies for longer than the block lasts would be denied after it again.
    local rest = blocked_until - now
    return {0, 0, math.max(wait, rest), math.max(worst.kind.reset(worst, 0), rest), index, {}}
  end
end

if wait > 0 then
  if action ~= "peek" and block > 0 then
    wait = math.max(wait, block)
    set_until(KEYS[1], string.format("%.0f", now + block), now + block)
  end
  return {0, worst.free, wait, worst.kind.reset(worst, 0), index, {}}
end

local reset = worst.kind.reset(worst, count)
if action == "peek" or count == 0 then
  return {0, left, 0, reset, index, {}}
end
local marks = {now}
for i, limit in ipairs(limits) do
  marks[1 + i] = limit.kind.take(limit, count)
end
return {count, left, 0, reset, index, marks}
