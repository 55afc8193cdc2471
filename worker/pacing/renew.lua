-- Renews the leases of one process's connections, also those that were forgotten in between: they are open. KEYS[1]:
-- who is at work, then for the n-th connection KEYS[2n] its host and KEYS[2n+1] its provider. ARGV: the process, then
-- the connections' ids. Gives the number of processes at work.

lease(KEYS[1], ARGV[1])
for n = 1, #ARGV - 1 do
  lease(KEYS[2 * n] .. ':held', ARGV[n + 1])
  lease(KEYS[2 * n + 1] .. ':held', ARGV[n + 1])
end
return redis.call('ZCOUNT', KEYS[1], AFTER_NOW, '+inf')
