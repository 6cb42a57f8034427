-- KEYS: the key. ARGV: token, lifetime in ms, status, headers; body unless it was too large.
local known = redis.call('HMGET', KEYS[1], 'state', 'token')
if known[2] ~= ARGV[1] or known[1] == 'free' then return 0 end
if known[1] == 'running' then
    redis.call('HSET', KEYS[1], 'state', 'done', 'status', ARGV[3], 'headers', ARGV[4])
    if ARGV[5] then redis.call('HSET', KEYS[1], 'body', ARGV[5]) end
    redis.call('HDEL', KEYS[1], 'caller', 'until')
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
