-- Brings the record of one host to a revision. KEYS: frontend:<host>, dead:<host>, vitrine:revision:<host>, vitrine:version.
-- ARGV: version, revision, host, channel, then the record: the identifier and the backends.
-- Returns 1, 0 where the host has seen a higher revision, or -1 where the records have another version.
local found = redis.call('GET', KEYS[4])
if found and found ~= ARGV[1] then
  return -1
end
local stored = redis.call('GET', KEYS[3])
if stored and tonumber(stored) > tonumber(ARGV[2]) then
  return 0
end
local record = {unpack(ARGV, 5)}
local present = redis.call('LRANGE', KEYS[1], 0, -1)
local same = stored == ARGV[2] and #present == #record
for i = 1, #record do
  same = same and present[i] == record[i]
end
-- SET takes the expiry of a tombstone away.
redis.call('SET', KEYS[3], ARGV[2])
if same then
  return 1
end
-- The dead set holds indexes into the list: one that outlives its list hides a backend that is well.
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('RPUSH', KEYS[1], unpack(record))
redis.call('PUBLISH', ARGV[4], ARGV[3])
return 1
