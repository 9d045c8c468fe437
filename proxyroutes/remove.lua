-- Deletes the record of one host. KEYS: frontend:<host>, dead:<host>, vitrine:revision:<host>, vitrine:version.
-- ARGV: version, revision, host, channel, seconds that the revision stays as a tombstone.
-- Returns 1, 0 where the host has seen a higher revision, or -1 where the records have another version.
local found = redis.call('GET', KEYS[4])
if found and found ~= ARGV[1] then
  return -1
end
local stored = redis.call('GET', KEYS[3])
if stored and tonumber(stored) > tonumber(ARGV[2]) then
  return 0
end
-- A revision without an expiry says that the record is ours. Without one somebody else wrote it, and it stays.
local ours = stored and redis.call('TTL', KEYS[3]) == -1
redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[5])
if ours then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('PUBLISH', ARGV[4], ARGV[3])
end
return 1
