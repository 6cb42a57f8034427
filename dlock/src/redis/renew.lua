-- KEYS: the locks. ARGV: lease in microseconds, milliseconds that a key is kept, then the owner of each lock.
-- Answers for each with 1 if its lease was extended, else with 0. For the value of a lock see operate.lua.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease_until = string.format('%016.0f', now + ARGV[1])
local renewed = {}
for i, key in ipairs(KEYS) do
    local value = redis.call('GET', key)
    local ends = value and tonumber(string.sub(value, 18, 33))
    if ends and ends > now and string.sub(value, 35) == ARGV[i + 2] then
        local token = string.sub(value, 1, 17)
        redis.call('SET', key, token .. lease_until .. ' ' .. ARGV[i + 2], 'PX', ARGV[2])
        renewed[i] = 1
    else
        renewed[i] = 0
    end
end
return renewed
