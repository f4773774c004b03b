-- Drops the entries that every group has handled.
--
-- KEYS[1]  the stream
--
-- Returns {how many were dropped;
--   the group that keeps the most of those that are left, "" if there is none;
--   milliseconds for which none of its consumers was heard of, -1 if it has none}

-- The first id that comes after this one; the id itself where Lua can't count that far.
local function after(id)
  local ms, seq = string.match(id, "^(%d+)-(%d+)$")
  if #seq > 15 then
    return id
  end
  return ms .. "-" .. string.format("%.0f", seq + 1)
end

local stream = KEYS[1]
if redis.call("EXISTS", stream) == 0 then
  return {0, "", -1}
end

local lowest, holder
for _, info in ipairs(redis.call("XINFO", "GROUPS", stream)) do
  local group = by_name(info)
  local first_kept = after(group["last-delivered-id"])
  if group["pending"] > 0 then
    first_kept = redis.call("XPENDING", stream, group["name"])[2]
  end
  local is_ours = string.sub(group["name"], 1, 7) == "larder:"
  if not is_ours and (not lowest or is_before(first_kept, lowest)) then
    lowest, holder = first_kept, group["name"]
  end
end
if not lowest then
  return {0, "", -1}
end

local silence = -1
for _, info in ipairs(redis.call("XINFO", "CONSUMERS", stream, holder)) do
  local idle = by_name(info)["idle"]
  silence = silence < 0 and idle or math.min(silence, idle)
end
return {redis.call("XTRIM", stream, "MINID", lowest), holder, silence}
