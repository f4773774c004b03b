-- Ends a session.
--
-- ARGV[1]  its digest
--
-- Returns {1; nothing}, or {0; the word of where it went, or nothing} if there is no such session

if not get(ARGV[1]) then
  return { 0, redis.call("GET", KEYS[3]) }
end
remove({ ARGV[1] })
prune()
return { 1, false }
