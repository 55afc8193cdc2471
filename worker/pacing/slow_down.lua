-- Halves what a host and its provider get, unless the connection complains about what has been dealt with. KEYS: host,
-- provider. After four arguments about limits, ARGV: when the connection's slot was taken. Gives 1 if others of ours
-- were open, or were told the same: then it may be tried again in a later slot.

local taken_at, others = tonumber(ARGV[5]), 0
for side = 0, 1 do
  local limit = read_limit(KEYS[1 + side], tonumber(ARGV[1 + 2 * side]), tonumber(ARGV[2 + 2 * side]))
  local is_dealt_with = taken_at <= limit.slowed_at
  if is_dealt_with or limit.held > 1 then others = 1 end
  if not (is_dealt_with and now < limit.slowed_at + AGAIN_AFTER) then
    spend(limit, 0)
    limit.share = math.max(SMALLEST_SHARE, share_at_now(limit) * HALVING)
    limit.slowed_at = now
    write_limit(limit)
  end
end
return others
