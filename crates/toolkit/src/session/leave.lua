-- Takes a session away that nobody has changed meanwhile, and leaves word of where it went.
--
-- ARGV[1]  its digest
-- ARGV[2]  the version that it has
-- ARGV[3]  the word
-- ARGV[4]  milliseconds that the word is kept, 0 for none
-- ARGV[5]  the digest of its new token; empty if it went to another user's sessions
-- ARGV[6]  its data, sealed with its new token
--
-- Returns as save.lua does

local session = get(ARGV[1])
if not session then
  return { 0, false, redis.call("GET", KEYS[3]) }
end
if session.version ~= tonumber(ARGV[2]) then
  return { 1, shown(session), redis.call("HGET", KEYS[1], ARGV[1]) }
end
if ARGV[5] ~= "" then
  session.seen = now
  redis.call("HSET", KEYS[1], ARGV[5], ARGV[6])
  put(ARGV[5], session)
end
if ARGV[4] ~= "0" then
  redis.call("SET", KEYS[3], ARGV[3], "PX", ARGV[4])
end
remove({ ARGV[1] })
prune()
return { 2, shown(session), false }
