-- Refuses the writes of the script behind it, as a store does that refuses writes.
--
-- $REFUSED  the commands that are refused, each with a space before and behind it
-- $WRITES   the commands that write, in the same way
-- $REFUSAL  what is said to those that are refused
local redis = (function(store)
    local wrote = false

    local function is_among(names, name, word)
        name = string.upper(name)
        local both = name .. "/" .. string.upper(tostring(word))
        return string.find(names, " " .. name .. " ", 1, true)
            or string.find(names, " " .. both .. " ", 1, true)
    end

    -- A script that has written may go on: a store does not stop it half-way.
    local function is_refused(...)
        if wrote then
            return false
        end
        wrote = not is_among("$REFUSED", ...) and is_among("$WRITES", ...)
        return is_among("$REFUSED", ...)
    end

    local guarded = {
        call = function(...)
            if is_refused(...) then
                error({ err = "$REFUSAL" }, 0)
            end
            return store.call(...)
        end,
        pcall = function(...)
            if is_refused(...) then
                return { err = "$REFUSAL" }
            end
            return store.pcall(...)
        end,
    }
    return setmetatable(guarded, { __index = store })
end)(redis)
