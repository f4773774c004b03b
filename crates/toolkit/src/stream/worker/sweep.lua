-- Looks after the consumers of a group: whoever is not known yet is heard of now, so that it can be
-- taken for dead later; whoever has nothing pending and was silent for long is removed.
--
-- ARGV[4]  milliseconds of silence after which a consumer is removed
--
-- Returns how many were removed

local silent_since = now - ARGV[4]

local is_consumer, removed = {}, 0
for _, info in ipairs(redis.call("XINFO", "CONSUMERS", stream, group)) do
  local other = by_name(info)
  local name, heard = other["name"], tonumber(redis.call("ZSCORE", alive, other["name"]))
  is_consumer[name] = true
  if name == consumer or name == PARKED then
    -- It stays.
  elseif not heard then
    redis.pcall("ZADD", alive, now, name)
  elseif heard < silent_since and other["pending"] == 0 then
    redis.call("XGROUP", "DELCONSUMER", stream, group, name)
    redis.call("ZREM", alive, name)
    removed = removed + 1
  end
end

-- Some were never more than a sign of life.
for _, name in ipairs(redis.call("ZRANGEBYSCORE", alive, "-inf", "(" .. silent_since)) do
  if not is_consumer[name] then
    redis.call("ZREM", alive, name)
  end
end
return removed
