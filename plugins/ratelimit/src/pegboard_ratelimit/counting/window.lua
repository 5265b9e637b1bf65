-- Admits a request if every policy does, and then counts it in all of them. This is the algorithm of
-- sliding_window.py, which says why it is correct. Change both together.
--
-- KEYS[1] is the key of one rule and client. ARGV[1] is 1 to count a request, 0 to return the same
-- verdict without counting. Then follow the quota, span and grain of each policy. Times are
-- microseconds of the server's clock.
--
-- Returns the time to wait, 0 if the request is admitted, and then for each policy the requests left
-- and the seconds until there are more.
--
-- The value is a format tag and then a head for each policy: its window in seconds, the number of
-- earlier runs, of requests in the window and of requests in the newest run, and the first and last
-- time of that run. Each head is followed by the earlier runs, oldest first: last time, requests.

local TAG, HEAD, HEAD_SIZE, RUN, RUN_SIZE = 'PR2', '<I4I2I4I4dd', 30, '<dI4', 12
local read, write, sub = struct.unpack, struct.pack, string.sub

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local stored = redis.pcall('GETRANGE', KEYS[1], 0, 16383) -- values of this script are shorter
if type(stored) ~= 'string' or sub(stored, 1, 3) ~= TAG then
  stored = TAG -- no value yet, or one of another program
end

local size, place, known = #stored, 4, {}
while size >= place + HEAD_SIZE - 1 do
  local log = {read(HEAD, stored, place)} -- and where its runs begin
  place = log[7] + log[2] * RUN_SIZE
  if place > size + 1 then break end
  log[1] = log[1] * 1000000
  known[#known + 1] = log
end

local is_charged, is_set_back, wait, longest, logs = ARGV[1] == '1', false, 0, 0, {}

for i = 2, #ARGV, 3 do
  local quota, span = ARGV[i] + 0, ARGV[i + 1] + 0
  local window, runs, total, newest, first, last, oldest = span, 0, 0, 0, now, now, size + 1
  local log -- of this window, else of the next longer one, else of the longest
  for n = 1, #known do
    local one = known[n]
    if not log or one[1] > log[1] and log[1] < span or one[1] < log[1] and one[1] >= span then
      log = one
    end
  end
  if log then
    window, runs, total, newest, first, last, oldest = unpack(log)
    if window > span then window = span end
    if now - last >= window then
      runs, total, newest = 0, 0, 0
    elseif last > now then
      -- The clock was set back: all requests count as of now.
      runs, newest, first, last, is_set_back = 0, total, now, now, true
    end
  end
  local freeing = last
  while runs > 0 do
    local time, requests = read(RUN, stored, oldest)
    if now - time < window then
      freeing = time
      break
    end
    total, oldest, runs = total - requests, oldest + RUN_SIZE, runs - 1
  end
  if total >= quota then
    local rest, at = total, oldest
    freeing = last
    for _ = 1, runs do
      local time, requests = read(RUN, stored, at)
      rest, at = rest - requests, at + RUN_SIZE
      if rest < quota then
        freeing = time
        break
      end
    end
    if freeing + span - now > wait then wait = freeing + span - now end
  elseif total == 0 then
    freeing = now
  end
  if span > longest then longest = span end
  logs[#logs + 1] = {quota, span, ARGV[i + 2] + 0, runs, total, newest, first, last, oldest, freeing}
end

local is_counted = is_charged and wait == 0
local is_written = is_counted or is_set_back
local answer, parts = {wait}, {TAG}

for i = 1, #logs do
  local quota, span, grain, runs, total, newest, first, last, oldest, freeing = unpack(logs[i])
  if is_written then
    local earlier = sub(stored, oldest, oldest + runs * RUN_SIZE - 1)
    if is_counted then
      if newest == 0 then
        first = now
      elseif now - first > grain then
        earlier, runs, newest, first = earlier .. write(RUN, last, newest), runs + 1, 0, now
      end
      total, newest, last = total + 1, newest + 1, now
      if runs == 0 then freeing = last end
    end
    parts[#parts + 1] = write(HEAD, span / 1000000, runs, total, newest, first, last) .. earlier
  end
  answer[#answer + 1] = quota > total and quota - total or 0
  answer[#answer + 1] = math.ceil((freeing + span - now) / 1000000)
end

if is_written then
  redis.call('SET', KEYS[1], table.concat(parts), 'PX', math.ceil(longest / 1000))
end
return answer
