-- Deletes the record of one host. KEYS: frontend:<host>, dead:<host>, vitrine:revision:<host>.
-- ARGV: revision, host, channel, seconds that the revision stays as a tombstone.
-- Returns 1, or 0 where the host has seen a higher revision.
local stored = redis.call('GET', KEYS[3])
if stored and tonumber(stored) > tonumber(ARGV[1]) then
  return 0
end
-- A revision without an expiry says that the record is ours. Without one somebody else wrote it, and it stays.
local ours = stored and redis.call('TTL', KEYS[3]) == -1
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[4])
if ours then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('PUBLISH', ARGV[3], ARGV[2])
end
return 1
