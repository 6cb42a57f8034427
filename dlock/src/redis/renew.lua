-- KEYS: the locks. ARGV: lease in microseconds, milliseconds that a key is kept, then the owner of each lock.
-- Answers for each with 1 if its lease was extended, with 0 if it was not, or with an error. For the value of a lock see
-- operate.lua.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease_until = string.format('%016.0f', now + ARGV[1])
local function is_error(answer)
    return type(answer) == 'table' and answer.err
end

local function renew(key, owner)
    local value = redis.pcall('GET', key)
    if is_error(value) then
        return value
    end
    local ends = value and tonumber(string.sub(value, 18, 33))
    if not ends or ends <= now or string.sub(value, 35) ~= owner then
        return 0
    end
    value = string.sub(value, 1, 17) .. lease_until .. ' ' .. owner
    local written = redis.pcall('SET', key, value, 'PX', ARGV[2])
    if is_error(written) and string.find(written.err, 'OOM', 1, true) then
        -- There is no memory left. PEXPIRE is allowed all the same, and after the first write of a script so is SET.
        redis.pcall('PEXPIRE', key, ARGV[2])
        written = redis.pcall('SET', key, value, 'PX', ARGV[2])
    end
    return is_error(written) and written or 1
end

local renewed = {}
for i, key in ipairs(KEYS) do
    renewed[i] = renew(key, ARGV[i + 2])
end
return renewed
