-- KEYS[1]: the lock. ARGV: owner, lease in microseconds, floor of tokens, milliseconds that a key is kept.
-- Answers with the token, or with minus the microseconds that another owner has left.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owner, lease_until, fence = unpack(redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence'))
fence = tonumber(fence or 0)
if owner and owner ~= ARGV[1] and tonumber(lease_until) > now then
    return now - lease_until
end
if owner ~= ARGV[1] or fence <= tonumber(ARGV[3]) then
    -- Above the last one; if that was lost with the data, the time is.
    fence = math.max(fence + 1, now, ARGV[3] + 1)
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]),
    'fence', string.format('%.0f', fence))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return fence
