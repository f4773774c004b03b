-- Shows that a consumer is alive.
--
-- ARGV[4...]  two for each entry that it is at work on: its id, and how often it was delivered
--
-- Returns for each entry 1 if it is still this consumer's, else 0

-- A store that is full refuses it: then nobody is heard of, and nobody is taken for dead.
redis.pcall("ZADD", alive, (time()), consumer)

local answers = {}
for i = 4, #ARGV, 2 do
  table.insert(answers, is_ours(ARGV[i], ARGV[i + 1]) and 1 or 0)
end
return answers
