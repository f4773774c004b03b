
-- The even flow as one of the kinds.

local gcra = {}
kinds.gcra = gcra

function gcra.read(key, size, cost, flow)
  local limit = {key = key, size = size, cost = cost, flow = flow}
  limit.missing, limit.since, limit.taken = gcra_read(key, size, cost, flow)
  limit.free = gcra_free(limit.missing, size, cost)
  return limit
end

function gcra.wait(limit, count)
  return gcra_us(limit.missing + (count - limit.size) * limit.cost, limit.flow)
end

function gcra.reset(limit, count)
  return gcra_us(limit.missing + count * limit.cost, limit.flow)
end

function gcra.take(limit, count)
  local missing, taken = limit.missing + count * limit.cost, limit.taken + count
  gcra_keep(limit.key, missing, limit.flow, limit.since, taken)
  return taken
end

-- What was taken after them comes back after them: of what is missing, that is not theirs. Those that were
-- the last to be taken are as if they had not been.
function gcra.give(limit, count, at, mark)
  local later = limit.taken - mark
  if at < limit.since or later < 0 then
    return
  end
  local theirs = math.min(count * limit.cost, limit.missing - later * limit.cost)
  if theirs > 0 then
    local taken = later == 0 and limit.taken - count or limit.taken
    gcra_keep(limit.key, limit.missing - theirs, limit.flow, limit.since, taken)
  end
end
