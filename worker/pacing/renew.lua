-- Renews the leases of a process and of its connections. A connection whose lease has expired gets a new one: it is
-- open. KEYS[1]: the active processes; KEYS[2n] and KEYS[2n+1]: host and provider of the n-th connection. ARGV: the
-- process, then the ids of its connections. Returns the number of active processes.

lease(KEYS[1], ARGV[1])
for n = 1, #ARGV - 1 do
  lease(KEYS[2 * n] .. ':held', ARGV[n + 1])
  lease(KEYS[2 * n + 1] .. ':held', ARGV[n + 1])
end
return redis.call('ZCOUNT', KEYS[1], AFTER_NOW, '+inf')
