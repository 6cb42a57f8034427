-- KEYS: the lock of each operation, in their order. ARGV of each: owner, and an empty text to release. To acquire: owner,
-- lease in microseconds, floor of tokens, milliseconds that a key is kept.
-- Answers for each with the token, with minus the microseconds that another owner has left, or with an error; for a
-- release with 0.
-- The value of a lock is its last token; while it is held, also the end of the lease and the owner. Both numbers have 16
-- digits, so that they are read without a pattern, which takes longer than all the rest.
local call, sub = redis.call, string.sub
local values = #KEYS == 1 and { call('GET', KEYS[1]) } or call('MGET', unpack(KEYS))
local locks, answers, at, now = {}, {}, 1, nil
for i = 1, #KEYS do
    locks[KEYS[i]] = values[i]
end

-- Most locks of a call have the same numbers.
local texts = {}
local function digits(number)
    local text = texts[number] or string.format('%016.0f', number)
    texts[number] = text
    return text
end

for i = 1, #KEYS do
    local key, owner, lease = KEYS[i], ARGV[at], ARGV[at + 1]
    local value = locks[key]
    local ends = value and tonumber(sub(value, 18, 33))
    local is_owner = ends and sub(value, 35) == owner
    if lease == '' then
        at = at + 2
        answers[i] = 0
        if is_owner then
            -- The token stays, so that the next one is larger.
            locks[key] = sub(value, 1, 16)
            if redis.pcall('SET', key, locks[key], 'KEEPTTL').err then
                -- There is no memory left, and a removal needs none. The next token is the server's time.
                call('DEL', key)
            end
        end
    else
        if not now then
            local time = call('TIME')
            now = time[1] * 1000000 + time[2]
        end
        if ends and ends > now and not is_owner then
            answers[i] = now - ends
        else
            local fence, floor = value and tonumber(sub(value, 1, 16)) or 0, tonumber(ARGV[at + 2])
            if not is_owner or fence <= floor then
                -- Above the last one; if that was lost with the data, the time is.
                fence = math.max(fence + 1, now, floor + 1)
            end
            value = digits(fence) .. ' ' .. digits(now + lease) .. ' ' .. owner
            local written = redis.pcall('SET', key, value, 'PX', ARGV[at + 3])
            if written.err then
                answers[i] = written
            else
                answers[i], locks[key] = fence, value
            end
        end
        at = at + 4
    end
end
return answers
