-- Halves the limits of a host and its provider, unless they were halved after the slot was acquired: then the complaint
-- has been dealt with. KEYS: host, provider. ARGV: four arguments about limits, then when the slot was acquired. Returns
-- 1 if other connections of ours were open or had the same complaint: then a later slot may succeed.

local acquired_at, others = tonumber(ARGV[5]), 0
for side = 0, 1 do
  local limit = read_limit(KEYS[1 + side], tonumber(ARGV[1 + 2 * side]), tonumber(ARGV[2 + 2 * side]))
  local is_dealt_with = acquired_at <= limit.slowed_at
  if is_dealt_with or limit.held > 1 then others = 1 end
  if not (is_dealt_with and now < limit.slowed_at + AGAIN_AFTER) then
    spend(limit, 0)
    limit.share = math.max(SMALLEST_SHARE, share_at_now(limit) * HALVING)
    limit.slowed_at = now
    write_limit(limit)
  end
end
return others
