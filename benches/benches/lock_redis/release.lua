-- KEYS[1]: the lock. ARGV: owner. The token stays, so that the next one is larger.
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'owner', 'until')
end
return 0
