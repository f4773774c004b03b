-- larder: touches only its KEYS
-- Gives a lock back, if the request still holds it, and wakes those who wait for it.
--
-- KEYS[1]  the lock
-- KEYS[2]  the last fencing token given, and the requests that were given up: see acquire.lua
-- ARGV[1]  the request that holds it
-- ARGV[2]  the channel on which waiters listen
-- ARGV[3]  milliseconds for which the last token is remembered
-- ARGV[4]  1 if the request may have been sent and not have come: it shall take nothing then
-- ARGV[5]  the command that tells them: PUBLISH, or SPUBLISH where messages have shards
--
-- Returns 1 if the request held the lock, else 0

local owner, remember = ARGV[1], ARGV[3]

-- How many bytes of requests that were given up are kept, which are the latest twenty or so.
local GONE_LEN = 1000

local held = redis.call("HMGET", KEYS[1], "owner", "token")
local is_held = held[1] == owner
if is_held then
  redis.call("DEL", KEYS[1])
end
-- A store that is full may not take the last token anew, and the lock is free all the same.
if ARGV[4] == "1" then
  local time = redis.call("TIME")
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local last = redis.call("GET", KEYS[2]) or is_held and held[2] or "0"
  local token, gone = string.match(last, "^(%d+)(.*)$")
  gone = string.sub(string.format(" %.0f:%s", now, owner) .. gone, 1, GONE_LEN)
  redis.pcall("SET", KEYS[2], token .. gone, "PX", remember)
elseif is_held and redis.call("PEXPIRE", KEYS[2], remember) == 0 then
  redis.pcall("SET", KEYS[2], held[2], "PX", remember)
end
if is_held then
  redis.call(ARGV[5], ARGV[2], "released")
end
return is_held and 1 or 0
