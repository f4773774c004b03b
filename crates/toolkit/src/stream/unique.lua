-- Adds an entry, unless the one that was added under this name is still there.
--
-- KEYS[1]  the stream
-- KEYS[2]  hash: the ids of entries by the names under which they were added
-- ARGV[1]  the name
-- ARGV[2]  the body
-- ARGV[3]  the stream's trim, and
-- ARGV[4]  its bound
--
-- Returns {the id of the entry; 1 if it is new, else 0}

local stream, names = KEYS[1], KEYS[2]

local function is_there(id)
  return id and #redis.call("XRANGE", stream, id, id) > 0
end

local before = redis.call("HGET", names, ARGV[1])
if is_there(before) then
  return {before, 0}
end

-- Each addition looks after two others, so that what has gone makes up no more than half.
for _, other in ipairs(redis.call("HRANDFIELD", names, 2)) do
  if not is_there(redis.call("HGET", names, other)) then
    redis.call("HDEL", names, other)
  end
end
local id = add(stream, ARGV[2], ARGV[3], ARGV[4])
redis.call("HSET", names, ARGV[1], id)
return {id, 1}
