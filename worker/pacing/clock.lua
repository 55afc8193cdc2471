-- All scripts use the server's clock: a worker's clock may jump or differ.
local parts = redis.call('TIME')
local now = tonumber(parts[1]) + tonumber(parts[2]) / 1e6
