-- Adds an entry, and drops those that are too old.
--
-- KEYS[1]  the stream
-- ARGV[1]  the body
-- ARGV[2]  the stream's trim, and
-- ARGV[3]  its bound
--
-- Returns the id of the entry

return add(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
