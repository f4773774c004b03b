-- Lists the sessions of a user, the one that expires last first.
--
-- Returns for each {digest; {version; when it was made, was seen, expires, and ends at the latest}}

prune()
local listed = {}
for _, digest in ipairs(redis.call("ZREVRANGE", KEYS[2], 0, -1)) do
  local session = get(digest, 0)
  if session then
    listed[#listed + 1] = { digest, shown(session) }
  end
end
return listed
