-- larder: touches only its KEYS
-- Drops the entries that every group has handled.
--
-- KEYS[1]  the stream
--
-- Returns how many were dropped; none if there is no group

-- Ids in an order that strings have: two numbers of up to 20 digits.
local function sortable(id)
  local ms, seq = string.match(id, "^(%d+)-(%d+)$")
  return string.rep("0", 20 - #ms) .. ms .. string.rep("0", 20 - #seq) .. seq
end

-- The first id that comes after this one; the id itself where Lua can't count that far.
local function after(id)
  local ms, seq = string.match(id, "^(%d+)-(%d+)$")
  if #seq > 15 then
    return id
  end
  return ms .. "-" .. string.format("%.0f", seq + 1)
end

if redis.call("EXISTS", KEYS[1]) == 0 then
  return 0
end

local lowest
for _, info in ipairs(redis.call("XINFO", "GROUPS", KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do
    group[info[i]] = info[i + 1]
  end
  local first_kept = after(group["last-delivered-id"])
  if group["pending"] > 0 then
    first_kept = redis.call("XPENDING", KEYS[1], group["name"])[2]
  end
  if not lowest or sortable(first_kept) < sortable(lowest) then
    lowest = first_kept
  end
end

if not lowest then
  return 0
end
return redis.call("XTRIM", KEYS[1], "MINID", lowest)
