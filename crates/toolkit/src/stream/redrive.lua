-- larder: touches only its KEYS
-- Puts a dead letter back into its stream, as a new entry.
--
-- KEYS[1]  the stream
-- KEYS[2]  the dead letters
-- ARGV[1]  the id of the dead letter
--
-- Returns the id of the new entry, or nil if there is no such dead letter, or none with a body

local letter = redis.call("XRANGE", KEYS[2], ARGV[1], ARGV[1])[1]
if not letter then
  return false
end

local fields = letter[2]
for i = 1, #fields, 2 do
  if fields[i] == "body" then
    redis.call("XDEL", KEYS[2], ARGV[1])
    return redis.call("XADD", KEYS[1], "*", "body", fields[i + 1])
  end
end
return false
