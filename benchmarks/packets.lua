-- For wrk: sends the requests of a file in turn, then prints the figures as JSON.
local packets, at = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for length in file:lines() do packets[#packets + 1] = file:read(tonumber(length)) end
end

function request()
  at = at % #packets + 1
  return packets[at]
end

function done(summary, latency)
  local errors = summary.errors
  local bad = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  print(string.format('JSON {"count":%d,"seconds":%.6f,"p50":%.6f,"p99":%.6f,"bad":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6, bad))
end
