-- Lists the sessions of a user, the one that expires last first.
--
-- Returns for each {digest; {version; when it was made, was seen, expires, and ends at the latest}}

mend()
local listed = {}
for _, digest in ipairs(redis.call("ZREVRANGEBYSCORE", KEYS[2], "+inf", "(" .. text(now))) do
  local session = get(digest)
  if session then
    listed[#listed + 1] = { digest, shown(session) }
  end
end
return listed
