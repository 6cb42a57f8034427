-- KEYS: the key. ARGV: token. What is left is the token, so that the next one is higher.
local known = redis.call('HMGET', KEYS[1], 'state', 'token')
if known[2] ~= ARGV[1] or known[1] == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'free')
redis.call('HDEL', KEYS[1], 'fingerprint', 'caller', 'until')
return 1
