-- Ends a session.
--
-- ARGV[1]  its digest
--
-- Returns 1, or 0 if there was no such session

local session = get(ARGV[1], 0)
if session then
  -- What is no session may be another field of one.
  remove({ ARGV[1] })
end
prune()
return session and 1 or 0
