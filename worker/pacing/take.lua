-- Takes slots, or places in the line for them. For the n-th: KEYS[2n-1] its host, KEYS[2n] its provider; after four
-- arguments about limits, ARGV: its id, and its ticket if it waits already. Gives three texts each: "1" with the
-- time and whether other connections are open, or "0" with its ticket and after how many seconds to come again.

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
    leave_line(id, limit)
    spend(limit, 1)
    write_limit(limit)
    call_next(limit)
  end
  reply('1', exact(now), others)
end

local function take(id, ticket, host, provider)
  local seconds = 0
  if ahead_of(ticket, host) >= room(host) then
    if leave_line(id, provider) then call_next(provider) end
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
  take(id, ticket,
    read_limit(KEYS[2 * n - 1], tonumber(ARGV[1]), tonumber(ARGV[2])),
    read_limit(KEYS[2 * n], tonumber(ARGV[3]), tonumber(ARGV[4])))
end
return replies
