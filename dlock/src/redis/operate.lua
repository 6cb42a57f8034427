-- KEYS: the lock of each operation, in their order. ARGV of each: owner, and an empty text to release. To acquire: owner,
-- lease in microseconds, floor of tokens, milliseconds that a key is kept.
-- Answers for each with the token, with minus the microseconds that another owner has left, or with an error; for a
-- release with 0.
-- The value of a lock is its last token; while it is held, also the end of the lease and the owner. Both numbers have 16
-- digits, so that they are read without a pattern, which takes longer than all the rest.
local call, pcall, sub = redis.call, redis.pcall, string.sub
local values = #KEYS == 1 and {} or call('MGET', unpack(KEYS))
local locks, answers, at, now = {}, {}, 1, nil
for i = 1, #KEYS do
    -- MGET has no value for a key of another type either, and such a key is no lock that is free.
    locks[KEYS[i]] = values[i] or pcall('GET', KEYS[i])
end
local function is_error(answer)
    return type(answer) == 'table' and answer.err
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
    local failed = is_error(value)
    local ends = value and not failed and tonumber(sub(value, 18, 33))
    local is_owner = ends and sub(value, 35) == owner
    if failed then
        answers[i] = value
    elseif lease == '' then
        answers[i] = 0
        if is_owner then
            -- The token stays, so that the next one is larger.
            local token = sub(value, 1, 16)
            local written = pcall('SET', key, token, 'KEEPTTL')
            if is_error(written) and string.find(written.err, 'OOM', 1, true) then
                -- There is no memory left, and a removal needs none. The next token is the server's time.
                written = pcall('DEL', key)
            end
            if is_error(written) then
                answers[i] = written
            else
                locks[key] = token
            end
        end
    else
        if not now then
            local time = call('TIME')
            now = time[1] * 1000000 + time[2]
        end
        local fence, floor = 0, tonumber(ARGV[at + 2])
        if value then
            -- Not the number of a counter that is another program's.
            fence = (#value == 16 or sub(value, 17, 17) == ' ') and tonumber(sub(value, 1, 16))
        end
        if not fence then
            answers[i] = { err = 'ERR this key holds a text that is no lock' }
        elseif ends and ends > now and not is_owner then
            answers[i] = now - ends
        else
            if not is_owner or fence <= floor then
                -- Above the last one; if that was lost with the data, the time is.
                fence = math.max(fence + 1, now, floor + 1)
            end
            if fence >= 9007199254740992 then
                answers[i] = { err = 'ERR the next token of this lock is above 2^53, to which scripts count' }
            else
                value = digits(fence) .. ' ' .. digits(now + lease) .. ' ' .. owner
                local written = pcall('SET', key, value, 'PX', ARGV[at + 3])
                if is_error(written) then
                    answers[i] = written
                else
                    answers[i], locks[key] = fence, value
                end
            end
        end
    end
    at = at + (lease == '' and 2 or 4)
end
return answers
