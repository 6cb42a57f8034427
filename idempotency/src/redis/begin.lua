-- KEYS: the key. ARGV: fingerprint, caller, lease in ms, lifetime in ms.
-- Answers: what there is, a number, and status, headers and body of the answer.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local known = redis.call('HMGET', KEYS[1], 'state', 'fingerprint', 'token', 'until', 'caller', 'status', 'headers', 'body')
local state = known[1]
local token = math.max((tonumber(known[3]) or 0) + 1, now)
if state == 'running' or state == 'done' then
    if known[2] ~= ARGV[1] then return {'mismatch', false, false, false, false} end
    if state == 'done' then return {'done', false, known[6], known[7], known[8]} end
    local left = known[4] - now
    if left > 0 then
        -- The answer to this very call was lost: it has the key already.
        if known[5] ~= ARGV[2] then return {'running', math.ceil(left / 1000), false, false, false} end
        token = tonumber(known[3])
    end
end
redis.call('HSET', KEYS[1], 'state', 'running', 'fingerprint', ARGV[1], 'caller', ARGV[2],
    'token', string.format('%.0f', token), 'until', string.format('%.0f', now + ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'fresh', string.format('%.0f', token), false, false, false}
