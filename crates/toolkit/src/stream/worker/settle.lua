-- Ends deliveries, each only if it is still this consumer's: one that was given to another in the
-- meantime is the other's to end.
--
-- KEYS[6]  the stream of dead letters
-- ARGV[4]  how many dead letters are kept, about
-- ARGV[5...]  five for each delivery: the entry's id; how often it was delivered; "done", "retry" or
--   "dead"; milliseconds until the retry; the error
--
-- Returns for each delivery 1 if it is ended, 0 if it was not this consumer's, and 2 if the store
-- refused to note what is to become of the entry, as one that is full does: it stays pending, and
-- does not hold up the others

local dead, kept = KEYS[6], ARGV[4]

local function is_refused(answer)
  return type(answer) == "table" and answer.err
end

local function park(id, delay)
  if is_refused(redis.pcall("ZADD", retries, now + delay, id)) then
    return 2
  end
  redis.call("XCLAIM", stream, group, PARKED, 0, id, "JUSTID")
  return 1
end

local function bury(id, deliveries, message)
  local letter = {"id", id, "deliveries", deliveries, "error", message}
  local entry = redis.call("XRANGE", stream, id, id)[1]
  local body = entry and body_of(entry[2])
  if body then
    table.insert(letter, "body")
    table.insert(letter, body)
  end
  if is_refused(redis.pcall("XADD", dead, "MAXLEN", "~", kept, "*", unpack(letter))) then
    return 2
  end
  return redis.call("XACK", stream, group, id)
end

local function settle(id, deliveries, how, delay, message)
  if not is_ours(id, deliveries) then
    return 0
  elseif how == "retry" then
    return park(id, delay)
  elseif how == "dead" then
    return bury(id, deliveries, message)
  end
  return redis.call("XACK", stream, group, id)
end

local answers = {}
for i = 5, #ARGV, 5 do
  table.insert(answers, settle(unpack(ARGV, i, i + 4)))
end
note_position()
return answers
