-- Marks one backend dead, as hipache's lib/drivers/redis.js does, unless the list has changed since. KEYS: frontend:<host or wildcard>,
-- dead:<host that was asked>. ARGV: index, backend, seconds, the announcement.
-- Returns 1, or 0 where another backend has the index now.
if redis.call('LINDEX', KEYS[1], tonumber(ARGV[1]) + 1) ~= ARGV[2] then
  return 0
end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('PUBLISH', 'dead', ARGV[4])
return 1
