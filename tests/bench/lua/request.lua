-- One request, repeated; the numbers as one line of JSON.
--
-- The suite passes the request as arguments, METHOD BODY_BYTES ["Name: value" ...], so that rows are
-- described in one place. No request() function is defined: wrk then formats the request once and
-- never enters Lua while it measures.

function init(arguments)
   wrk.method = arguments[1]
   local body_bytes = tonumber(arguments[2])
   if body_bytes > 0 then
      wrk.body = string.rep("x", body_bytes)
   end
   for index = 3, #arguments do
      local name, value = arguments[index]:match("^([^:]+): (.*)$")
      wrk.headers[name] = value
   end
end

-- Exact counts, unlike the rounded ones wrk prints; times in microseconds.
function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, ' ..
      '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
      summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99),
      errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
