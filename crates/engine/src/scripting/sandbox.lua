-- The world of a script: what Redis gives to scripts, and nothing else.
--
-- Runs once in each new machine, when the guards are in the places of what they stand before. Gets
-- the libraries that are written in Rust, three functions of C, the table that leads from each table
-- that scripts see to the one that it shows, and the `redis` that a library of functions sees while it
-- is loaded. Answers the function that explains errors, the world, the globals that show it to scripts,
-- the metatable by which they do, and the world of a library that is loaded.

local libraries, native, shown, loading = ...
local pcall, rawset, type, tostring = pcall, rawset, type, tostring
local loadstring = loadstring
local concat, metatable_of_strings = table.concat, getmetatable("")

-- An empty table that shows another one and can't be changed. What Rust has put before the functions
-- that read tables knows of it. Gives its metatable as well.
local function protect(table, shown_metatable)
    local metatable = {
        __index = table,
        __newindex = native.refuse_change,
        __metatable = shown_metatable or false,
    }
    local view = setmetatable({}, metatable)
    shown[view] = table
    return view, metatable
end

-- A table in which there is nothing but what it has.
local function only(table)
    return setmetatable(table, { __index = native.refuse_name })
end

-- The pieces are put together first: nothing of the script runs while a text is compiled.
local function load(reader, name)
    local pieces = {}
    repeat
        local ok, piece = pcall(reader)
        if not ok then
            return nil, piece
        end
        if piece ~= nil and type(piece) ~= "string" then
            return nil, "reader function must return a string"
        end
        pieces[#pieces + 1] = piece
    until piece == nil or piece == ""
    return loadstring(concat(pieces), name or "=(load)")
end

local world = {
    assert = assert, collectgarbage = collectgarbage, error = error, gcinfo = gcinfo,
    getmetatable = getmetatable, ipairs = ipairs, load = load, loadstring = loadstring,
    next = next, pairs = pairs, pcall = pcall, rawequal = rawequal, rawget = rawget,
    rawset = rawset, select = select, setmetatable = setmetatable, tonumber = tonumber,
    tostring = tostring, type = type, unpack = unpack, xpcall = xpcall, _VERSION = _VERSION,
    string = protect(string), table = protect(table), math = protect(math),
    coroutine = protect(coroutine), os = protect({ clock = os.clock }),
}
for name, library in pairs(libraries) do
    world[name] = protect(library)
end
world.server = world.redis

-- The metatable of strings is one for all scripts.
metatable_of_strings.__metatable = protect({ __index = world.string })

local metatable_of_globals = { __index = native.refuse_name }
setmetatable(world, metatable_of_globals)
local globals, metatable_of_view = protect(world, (protect(metatable_of_globals)))
world._G = globals

local world_of_loading = { redis = protect(only(loading)) }
world_of_loading.server = world_of_loading.redis
only(world_of_loading)

-- Gives an error its place, and makes it a table.
local function explain(err)
    if type(err) ~= "table" then
        err = { err = "ERR " .. tostring(err) }
    end
    local source, line = native.place()
    rawset(err, "source", source)
    rawset(err, "line", line)
    return err
end

return explain, world, globals, metatable_of_view, world_of_loading
