-- Releases slots and leaves queues. KEYS[2n-1] and KEYS[2n]: host and provider of the n-th slot. ARGV: four arguments
-- about limits, then for each slot its id and the number of recipients that were probed in it.

for n = 1, #KEYS / 2 do
  local id, recipients = ARGV[2 * n + 3], tonumber(ARGV[2 * n + 4])
  for side = 0, 1 do
    local limit = read_limit(KEYS[2 * n - 1 + side], tonumber(ARGV[1 + 2 * side]), tonumber(ARGV[2 + 2 * side]))
    limit.held = limit.held - redis.call('ZREM', limit.name .. ':held', id)
    leave_queue(id, limit)
    if recipients > 0 then
      spend(limit, recipients)
      write_limit(limit)
    end
    call_next(limit)
  end
end
