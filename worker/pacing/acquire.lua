-- Acquires slots, or queues for them. KEYS[2n-1] and KEYS[2n]: host and provider of the n-th request. ARGV: four
-- arguments about limits, then for each request its id and, if it is queued already, its ticket. Returns three strings
-- for each request: "1", the time, and whether other connections are open; or "0", the ticket, and the seconds to wait.

local replies = {}

local function reply(...)
  for _, value in ipairs({...}) do table.insert(replies, value) end
end

local function grant(id, limits)
  local others = '0'
  for _, limit in ipairs(limits) do
    if limit.held > 0 then others = '1' end
    lease(limit.name .. ':held', id)
    limit.held = limit.held + 1
    leave_queue(id, limit)
    spend(limit, 1)
    write_limit(limit)
    call_next(limit)
  end
  reply('1', exact(now), others)
end

local function acquire(id, ticket, host, provider)
  local seconds = 0
  if ahead_of(ticket, host) >= room(host) then
    if leave_queue(id, provider) then call_next(provider) end
  elseif ahead_of(ticket, provider) >= room(provider) then
    lease(provider.name .. ':waiting', ticket)
  else
    for _, limit in ipairs({host, provider}) do
      seconds = math.max(seconds, (1 - tokens_at_now(limit)) / (limit.per_second * share_at_now(limit)))
    end
    if seconds == 0 then return grant(id, {host, provider}) end
    lease(provider.name .. ':waiting', ticket)
  end
  lease(host.name .. ':waiting', ticket)
  reply('0', ticket, exact(seconds))
end

for n = 1, #KEYS / 2 do
  local id, ticket = ARGV[2 * n + 3], ARGV[2 * n + 4]
  if ticket == '' then ticket = string.format('%017.6f %s', now, id) end
  acquire(id, ticket,
    read_limit(KEYS[2 * n - 1], tonumber(ARGV[1]), tonumber(ARGV[2])),
    read_limit(KEYS[2 * n], tonumber(ARGV[3]), tonumber(ARGV[4])))
end
return replies
