
-- Takes permits from a single limit of GCRA without a block, which most limiters are: what decide.lua
-- does for it, in a part of its time.
--
-- KEYS[1]  the state
-- ARGV[1]  permits, from 0 to ARGV[2]
-- ARGV[2]  permits in a full bucket
-- ARGV[3], ARGV[4]  the numbers of GCRA
--
-- Returns as decide.lua does

local key, wanted = KEYS[1], tonumber(ARGV[1])
local size, cost, flow = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local missing, since, taken = gcra_read(key, size, cost, flow)

local free = gcra_free(missing, size, cost)
local after = missing + wanted * cost
if wanted > free then
  return {0, free, gcra_us(after - size * cost, flow), gcra_us(missing, flow), 0, {}}
end
if wanted > 0 then
  gcra_keep(key, after, flow, since, taken + wanted)
end
return {wanted, free - wanted, 0, gcra_us(after, flow), 0, {now, taken + wanted}}
