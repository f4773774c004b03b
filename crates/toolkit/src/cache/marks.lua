-- larder: touches only its KEYS
-- Reads the marks of a cache's tags, and sets those that are missing.
--
-- Each tag has one of the marks, by its name; many tags share one. Whoever invalidates a tag removes its
-- mark. So a load that learns late which tags its value has can tell whether one of them may have been
-- invalidated since it began: the mark is another then.
--
-- KEYS[1]  the marks, a hash of numbers from 0
-- ARGV[1]  how many marks there are
-- ARGV[2]  what is set where one is missing, never used before
-- ARGV[3]  milliseconds after which they may be forgotten
--
-- Returns the marks, in order

local marks = {}
for number = 1, ARGV[1] do
  local mark = redis.call("HGET", KEYS[1], number - 1)
  if not mark then
    mark = ARGV[2]
    redis.call("HSET", KEYS[1], number - 1, mark)
  end
  marks[number] = mark
end
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return marks
