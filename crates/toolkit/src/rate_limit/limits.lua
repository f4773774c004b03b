
-- The limits of a call, as they stand now.
--
-- KEYS[1 + i]  the state of limit i
-- ARGV[first], ARGV[first + 1], ...  for each limit its kind, its size in permits, and its two numbers

local function read_limits(first)
  local limits = {}
  for i = 1, #KEYS - 1 do
    local place = first + 4 * (i - 1)
    local kind = kinds[ARGV[place]]
    local size, one, other = tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3])
    limits[i] = kind.read(KEYS[1 + i], size, one, other)
    limits[i].kind = kind
  end
  return limits
end
