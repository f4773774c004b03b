
-- The kinds of limits. A kind is five functions. What they call a limit is a table, made by the first:
--
--   read(key, size, ...)            as it stands now, with `free`, the permits that are there; `...` are
--                                   two numbers, of which the kind says what they are
--   wait(limit, count)              microseconds until so many will be there, which are more than free
--   reset(limit, count)             microseconds until it is full again, once so many more are taken
--   take(limit, count)              takes them, and returns a mark by which they can be given back
--   give(limit, count, at, mark)    gives them back, which were taken at that time, so far as they have
--                                   not come back by themselves

local kinds = {}
