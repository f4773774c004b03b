-- Shows that a consumer is alive.
--
-- ARGV[4...]  two for each entry that it is at work on: its id, and how often it was delivered
--
-- Returns {1 if the sign is noted, 0 if the store refused it, as one that is full does;
--   for each entry 1 if it is still this consumer's, else 0}

local noted = redis.pcall("ZADD", alive, now, consumer)
local is_refused = type(noted) == "table" and noted.err

local answers = {}
for i = 4, #ARGV, 2 do
  table.insert(answers, is_ours(ARGV[i], ARGV[i + 1]) and 1 or 0)
end
return {is_refused and 0 or 1, answers}
