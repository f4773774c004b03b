-- larder: touches only its KEYS
-- What the scripts of a limiter share: the time, and how a state is kept until it says nothing more.
--
-- A state says of when it is. If that is later than now, the clock has stepped back: the state is taken
-- for one of now, and written anew as such, or it would be ahead for as long as the clock has stepped.
-- What is said to be taken is never more than all: the limit may have been another when it was written.
-- What can't be read as a state is none.
--
-- All numbers stay below 2^53, where the floating-point numbers of Lua are exact. As words of a command
-- they are written in full; joined to a text they would be cut off, so texts are made by `format`.

-- The store's clock, never the callers': theirs do not agree.
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]

-- Stores count milliseconds: a state must not be gone before it says nothing any more. The moment is
-- rounded up, and not the time until then, of which the store would cut off the part of a millisecond
-- that has begun.
local function set_until(key, state, moment)
  redis.call("SET", key, state, "PXAT", math.ceil(moment / 1000))
end
