-- Functions that the scripts share. A limit, of a mail host or of a provider, is three keys that begin with its name:
--   :held      a sorted set of connections by the time at which their lease ends
--   :waiting   a sorted set of tickets by the time at which they expire; tickets sort by their time of arrival
--   :state     a hash: the adaptive state, with the arithmetic of pipeline/mail/pacing/aimd.py
-- Times are in seconds. HALVING, SMALLEST_SHARE, RECOVERY, AGAIN_AFTER, LEASE and TURNS come from Python.

local function exact(number)
  return string.format('%.17g', number)
end

-- A valid lease ends between these times. One that ends later was written before the server's clock was set back.
local AFTER_NOW, BEFORE_LONG = '(' .. exact(now), exact(now + LEASE)

local function read_limit(name, connections, per_second)
  local stored = redis.call('HMGET', name .. ':state', 'share', 'slowed_at', 'tokens', 'counted_at')
  local queue = redis.call('ZRANGEBYSCORE', name .. ':waiting', AFTER_NOW, BEFORE_LONG)
  table.sort(queue)
  local burst = math.max(1, per_second)
  return {
    name = name,
    connections = connections,
    per_second = per_second,
    burst = burst,
    held = redis.call('ZCOUNT', name .. ':held', AFTER_NOW, BEFORE_LONG),
    queue = queue,
    share = tonumber(stored[1] or 1),
    slowed_at = math.min(tonumber(stored[2] or 0), now),
    tokens = tonumber(stored[3] or burst),
    counted_at = tonumber(stored[4] or now),
  }
end

local function share_at_now(limit)
  return math.min(1, limit.share + math.max(0, now - limit.slowed_at) / RECOVERY)
end

local function tokens_at_now(limit)
  local earned = math.max(0, now - limit.counted_at) * limit.per_second * share_at_now(limit)
  return math.min(limit.burst, limit.tokens + earned)
end

local function spend(limit, tokens)
  limit.tokens = tokens_at_now(limit) - tokens
  limit.counted_at = now
end

-- The state expires once the limit has recovered completely.
local function write_limit(limit)
  local until_whole = (1 - share_at_now(limit)) * RECOVERY
  local until_full = (limit.burst - limit.tokens) / (limit.per_second * share_at_now(limit))
  redis.call('HSET', limit.name .. ':state', 'share', exact(limit.share), 'slowed_at', exact(limit.slowed_at),
    'tokens', exact(limit.tokens), 'counted_at', exact(limit.counted_at))
  redis.call('PEXPIRE', limit.name .. ':state', math.ceil(1000 * math.max(until_whole, until_full)) + 1000)
end

-- The number of connections that may still be opened.
local function room(limit)
  return math.max(1, math.floor(limit.connections * share_at_now(limit))) - limit.held
end

local function ahead_of(ticket, limit)
  local count = 0
  while limit.queue[count + 1] and limit.queue[count + 1] < ticket do count = count + 1 end
  return count
end

-- A lease, of a connection or of a ticket, expires unless it is renewed.
local function lease(key, member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', exact(now))
  redis.call('ZADD', key, exact(now + LEASE), member)
  redis.call('PEXPIRE', key, math.ceil(1000 * LEASE))
end

-- By the id alone: whoever leaves may not know its ticket yet.
local function leave_queue(id, limit)
  for place, ticket in ipairs(limit.queue) do
    if ticket:sub(-#id - 1) == ' ' .. id then
      redis.call('ZREM', limit.name .. ':waiting', ticket)
      table.remove(limit.queue, place)
      return true
    end
  end
  return false
end

-- Announces the turn of the first in the queue. A ticket is "time process-number". Where our user has no rights on
-- channels, waiting slots poll.
local function call_next(limit)
  local first = limit.queue[1]
  if first and room(limit) > 0 then
    local id, process = first:match(' ((%w+)-%d+)$')
    redis.pcall('PUBLISH', TURNS .. process, id)
  end
end
