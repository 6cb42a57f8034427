-- GCRA: the key holds when the client's next request would be due if all were evenly spread, in microseconds
-- since the epoch. ARGV: microseconds per request, requests at once, cost. Returns 0, or how long to wait.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each, at_once, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local next = due + each * cost
local wait = next - at_once * each - now
if wait > 0 then
    return math.ceil(wait)
end
-- Behind that time the key says nothing.
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return 0
