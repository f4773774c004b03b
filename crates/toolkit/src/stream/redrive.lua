-- Puts a dead letter back into its stream, as a new entry.
--
-- KEYS[1]  the stream
-- KEYS[2]  the dead letters
-- ARGV[1]  the id of the dead letter
-- ARGV[2]  the stream's trim, and
-- ARGV[3]  its bound
--
-- Returns the id of the new entry, or nil if there is no such dead letter, or none with a body

local letter = redis.call("XRANGE", KEYS[2], ARGV[1], ARGV[1])[1]
local body = letter and body_of(letter[2])
if not body then
  return false
end
local id = add(KEYS[1], body, ARGV[2], ARGV[3])
redis.call("XDEL", KEYS[2], ARGV[1])
return id
