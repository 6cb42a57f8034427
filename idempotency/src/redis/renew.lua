-- KEYS: the key. ARGV: token, lease in ms, lifetime in ms.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('HMGET', KEYS[1], 'state', 'token', 'until')
if known[1] ~= 'running' or known[2] ~= ARGV[1] or tonumber(known[3]) <= now then return 0 end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
