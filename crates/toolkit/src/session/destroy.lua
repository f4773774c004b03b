-- Ends a session.
--
-- ARGV[1]  its digest
--
-- Returns 1, or 0 if there was no such session

local session = get(ARGV[1], 0)
remove({ ARGV[1] })
prune()
return session and 1 or 0
