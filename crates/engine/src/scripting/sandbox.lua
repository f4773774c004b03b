-- The world of a script: what Redis gives to scripts, and nothing else.
--
-- Runs once in each new machine. Gets the functions that are written in Rust, in a table, and
-- answers the function that explains errors, the world, and the globals that show it to scripts.

local native = ...
local error, pcall, xpcall, type, tostring = error, pcall, xpcall, type, tostring
local getmetatable, setmetatable, rawset = getmetatable, setmetatable, rawset
local loadstring_unsafe, setfenv = loadstring, setfenv
local globals

-- An error that Rust raised, as the table or the text that scripts expect.
local function plain(err)
    if type(err) == "userdata" then
        return native.plain(err)
    end
    return err
end

-- What `pcall` gives. Of an error that is a table, its text.
local function caught(ok, err, ...)
    if ok then
        return ok, err, ...
    end
    err = plain(err)
    if type(err) == "table" and type(err.err) == "string" then
        return ok, err.err
    end
    return ok, err
end

local redis = {
    call = native.call,
    pcall = native.pcall,
    sha1hex = native.sha1hex,
    setresp = native.setresp,
    log = native.log,
    error_reply = function(text)
        if type(text) ~= "string" then
            return { err = "ERR wrong number or type of arguments" }
        end
        if string.sub(text, 1, 1) == "-" then
            return { err = string.sub(text, 2) }
        end
        return { err = text }
    end,
    status_reply = function(text)
        if type(text) ~= "string" then
            return { err = "ERR wrong number or type of arguments" }
        end
        return { ok = text }
    end,
    -- Effects are what is replicated since Redis 5; these are left for scripts that are older.
    replicate_commands = function() return true end,
    set_repl = function() end,
    REPL_NONE = 0,
    REPL_AOF = 1,
    REPL_SLAVE = 2,
    REPL_REPLICA = 2,
    REPL_ALL = 3,
    LOG_DEBUG = 0,
    LOG_VERBOSE = 1,
    LOG_NOTICE = 2,
    LOG_WARNING = 3,
    REDIS_VERSION = native.version,
    REDIS_VERSION_NUM = native.version_number,
}

-- Text only: bytecode that somebody made up can break the machine.
local function loadstring(text, name)
    if type(text) ~= "string" then
        error("bad argument #1 to 'loadstring' (string expected)", 2)
    end
    if string.byte(text, 1) == 27 then
        return nil, "bytecode is not allowed"
    end
    local script, err = loadstring_unsafe(text, name or "@user_script")
    return script and setfenv(script, globals), err
end

local readonly = {}

-- An empty table that shows another one and can't be changed.
local function protect(table)
    local shown = setmetatable({}, {
        __index = table,
        __newindex = function() error("Attempt to modify a readonly table", 2) end,
        __metatable = false,
    })
    readonly[shown] = true
    return shown
end

local world = {
    assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs,
    rawequal = rawequal, rawget = rawget, select = select, setmetatable = setmetatable,
    tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
    pcall = function(...) return caught(pcall(...)) end,
    xpcall = function(f, handler) return xpcall(f, function(err) return handler(plain(err)) end) end,
    getmetatable = getmetatable, collectgarbage = collectgarbage, loadstring = loadstring,
    rawset = function(table, name, value)
        if readonly[table] then
            error("Attempt to modify a readonly table", 2)
        end
        return rawset(table, name, value)
    end,
    load = function(reader, name)
        local parts = {}
        repeat
            local part = reader()
            parts[#parts + 1] = part
        until not part or part == ""
        return loadstring(table.concat(parts), name)
    end,
    string = protect(string), table = protect(table), math = protect(math),
    coroutine = protect(coroutine),
    os = protect({ clock = os.clock }),
    redis = protect(redis), server = protect(redis),
    cjson = protect(native.cjson),
    _VERSION = _VERSION,
}

-- Methods of strings must not lead to the real library.
getmetatable("").__metatable = false

setmetatable(world, {
    __index = function(_, name)
        error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end,
})
globals = setmetatable({}, {
    __index = world,
    __newindex = function() error("Attempt to modify a readonly table", 2) end,
    __metatable = false,
})
readonly[globals] = true
world._G = globals

-- Gives an error its place, and makes it a table.
local function explain(err)
    err = plain(err)
    if type(err) ~= "table" then
        err = { err = "ERR " .. tostring(err) }
    elseif err.err == nil then
        err = { err = "ERR unknown error" }
    end
    if not err.line then
        err.source, err.line = native.place()
    end
    return err
end

return explain, world, globals
