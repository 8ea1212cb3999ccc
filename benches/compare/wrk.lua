-- Leaves out the session of one request in ten where it is told to, and prints what was measured as one line of JSON.

local cookies, bare, count = nil, nil, 0

-- wrk -s wrk.lua URL -- [COOKIES_OF_THE_TENTH]: with it, nine requests have the cookie of the command line.
function init(args)
    if args[1] == nil then
        return
    end
    cookies = wrk.format()
    wrk.headers["Cookie"] = args[1]
    bare = wrk.format()
    -- wrk sends one prepared request unless there is such a function, and is faster then.
    request = function()
        count = count + 1
        if count % 10 == 0 then
            return bare
        end
        return cookies
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "bytes": %d, "p50": %d, "p99": %d, "p999": %d, '
            .. '"wrong": {"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}}\n',
        summary.requests, summary.duration / 1000000, summary.bytes,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
