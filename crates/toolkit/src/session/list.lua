-- Lists the sessions of a user, the one that expires last first.
--
-- Returns for each {digest; {version; when it was made, was seen, expires, and ends at the latest}; its
-- device, sealed, or nothing}

-- What stands before the data: a 2, the length in two bytes, and so many bytes.
local function device(digest)
  local stored = redis.call("HGET", KEYS[1], digest) or ""
  local mark, high, low = string.byte(stored, 1, 3)
  if mark ~= 2 or not low or #stored < 3 + high * 256 + low then
    return false
  end
  return string.sub(stored, 4, 3 + high * 256 + low)
end

mend()
local listed = {}
for _, digest in ipairs(redis.call("ZREVRANGEBYSCORE", KEYS[2], "+inf", "(" .. text(now))) do
  local session = get(digest)
  if session then
    listed[#listed + 1] = { digest, shown(session), device(digest) }
  end
end
return listed
