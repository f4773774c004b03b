
-- Gives permits back to every limit from which they were taken, so far as they have not come back by
-- themselves.
--
-- KEYS     those of limits.lua; KEYS[1] is the block, which stays as it is
-- ARGV[1]  permits
-- ARGV[2]  the first word of limits.lua
-- ARGV[2 + 4 * limits], ...  the time at which they were taken, and the mark of each limit
--
-- Returns as decide.lua does: what is there now

local count, marks_from = tonumber(ARGV[1]), 2 + 4 * (#KEYS - 1)
local at = tonumber(ARGV[marks_from])

-- If the clock has stepped back behind them, nobody knows what has come back meanwhile.
if at <= now then
  for i, limit in ipairs(read_limits(2)) do
    limit.kind.give(limit, count, at, tonumber(ARGV[marks_from + i]))
  end
end

local fewest, index
for i, limit in ipairs(read_limits(2)) do
  if not fewest or limit.free < fewest.free then
    fewest, index = limit, i - 1
  end
end
return {0, fewest.free, 0, fewest.kind.reset(fewest, 0), index, {}}
