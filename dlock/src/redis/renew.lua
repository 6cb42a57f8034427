-- KEYS: the locks. ARGV: lease in microseconds, milliseconds that a key is kept, then the owner of each lock.
-- Answers for each with 1 if its lease was extended, else with 0.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease_until = string.format('%.0f', now + ARGV[1])
local renewed = {}
for i, key in ipairs(KEYS) do
    local owner, ends = unpack(redis.call('HMGET', key, 'owner', 'until'))
    if owner == ARGV[i + 2] and tonumber(ends) > now then
        redis.call('HSET', key, 'until', lease_until)
        redis.call('PEXPIRE', key, ARGV[2])
        renewed[i] = 1
    else
        renewed[i] = 0
    end
end
return renewed
