-- What the scripts share. A limit, of a mail host or of a provider, is three keys that begin with its name:
--   :held      a sorted set of connections by the time at which their lease ends
--   :waiting   a sorted set of tickets by the time at which they are forgotten; a ticket sorts as it came
--   :state     a hash: what was learned, see pipeline/mail/pacing/aimd.py, whose arithmetic this is
-- Times are in seconds. HALVING, SMALLEST_SHARE, RECOVERY, AGAIN_AFTER, LEASE and TURNS come from Python.

local function exact(number)
  return string.format('%.17g', number)
end

-- From when to when a lease ends that holds now. One that ends later is from before the server's clock was set back.
local AFTER_NOW, BEFORE_LONG = '(' .. exact(now), exact(now + LEASE)

local function read_limit(name, connections, per_second)
  local stored = redis.call('HMGET', name .. ':state', 'share', 'slowed_at', 'tokens', 'counted_at')
  local line = redis.call('ZRANGEBYSCORE', name .. ':waiting', AFTER_NOW, BEFORE_LONG)
  table.sort(line)
  local burst = math.max(1, per_second)
  return {
    name = name,
    connections = connections,
    per_second = per_second,
    burst = burst,
    held = redis.call('ZCOUNT', name .. ':held', AFTER_NOW, BEFORE_LONG),
    line = line,
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

-- The state is kept until forgetting it loses nothing.
local function write_limit(limit)
  local until_whole = (1 - share_at_now(limit)) * RECOVERY
  local until_full = (limit.burst - limit.tokens) / (limit.per_second * share_at_now(limit))
  redis.call('HSET', limit.name .. ':state', 'share', exact(limit.share), 'slowed_at', exact(limit.slowed_at),
    'tokens', exact(limit.tokens), 'counted_at', exact(limit.counted_at))
  redis.call('PEXPIRE', limit.name .. ':state', math.ceil(1000 * math.max(until_whole, until_full)) + 1000)
end

-- Connections that may still be opened.
local function room(limit)
  return math.max(1, math.floor(limit.connections * share_at_now(limit))) - limit.held
end

local function ahead_of(ticket, limit)
  local count = 0
  while limit.line[count + 1] and limit.line[count + 1] < ticket do count = count + 1 end
  return count
end

-- A lease, be it of a connection or of a place in the line, ends if it is not taken anew.
local function lease(key, member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', exact(now))
  redis.call('ZADD', key, exact(now + LEASE), member)
  redis.call('PEXPIRE', key, math.ceil(1000 * LEASE))
end

-- By the id alone: whoever leaves may not have heard of their ticket yet.
local function leave_line(id, limit)
  for place, ticket in ipairs(limit.line) do
    if ticket:sub(-#id - 1) == ' ' .. id then
      redis.call('ZREM', limit.name .. ':waiting', ticket)
      table.remove(limit.line, place)
      return true
    end
  end
  return false
end

-- Tells the first in the line, and nobody else, that it may be its turn. A ticket is "time process-number". Where our
-- user has no rights on channels, whoever waits looks by themselves.
local function call_next(limit)
  local first = limit.line[1]
  if first and room(limit) > 0 then
    local id, process = first:match(' ((%w+)-%d+)$')
    redis.pcall('PUBLISH', TURNS .. process, id)
  end
end
