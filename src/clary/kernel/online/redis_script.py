"""The script by which Redis decides and carries out one write, atomically.

Keys, which share a slot of a cluster: the group's records (a hash), its sizes (a hash, there as long as the group takes
writes), its expiries (a sorted set of milliseconds) and the outcomes of its numbered writes (a sorted set).

A stored value is a flag, the event as EVENT_DIGITS digits, the expiry in milliseconds as EXPIRY_DIGITS digits, and the
data; so that texts compare as times do. A numbered write happens once: who repeats it gets the outcome it had. Numbers
below `low` have ended: what they did is forgotten, and who was about to repeat one comes too late to do anything.
"""

EVENT_DIGITS = 21
EXPIRY_DIGITS = 19

APPLY = b"""
local records, sizes, expiries, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kind, key, event, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local after, expected, number, low = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]

if redis.call('EXISTS', sizes) == 0 then return 'gone' end
if number > 0 then
  local lowest = tonumber(redis.call('HGET', sizes, 'low') or '0')
  if number < lowest then return 'applied' end
  if tonumber(low) > lowest then redis.call('HSET', sizes, 'low', low) end
  redis.call('ZREMRANGEBYSCORE', done, '-inf', '(' .. low)
  local before = redis.call('ZRANGEBYSCORE', done, number, number)[1]
  if before then return string.match(before, ':(%a+)$') end
end

local before = redis.call('HGET', records, key)
local there = before
if there then
  local expires = string.sub(there, 23, 41)
  if expires ~= '0000000000000000000' and expires <= now and kind ~= 'clear' then there = false end
end

local outcome = 'applied'
if kind == 'replace' or kind == 'clear' then
  if there ~= expected then outcome = 'changed' end
elseif there and string.sub(there, 2, 22) >= event then
  outcome = 'older'
end

if outcome == 'applied' then
  local length = string.len(key)
  if before then
    redis.call('HINCRBY', sizes, 'records', -1)
    redis.call('HINCRBY', sizes, 'bytes', -length - string.len(before))
    redis.call('ZREM', expiries, key)
  end
  if after == '' then
    redis.call('HDEL', records, key)
  else
    redis.call('HSET', records, key, after)
    redis.call('HINCRBY', sizes, 'records', 1)
    redis.call('HINCRBY', sizes, 'bytes', length + string.len(after))
    local expires = string.sub(after, 23, 41)
    if expires ~= '0000000000000000000' then redis.call('ZADD', expiries, expires, key) end
  end
end
if number > 0 then redis.call('ZADD', done, number, string.format('%d', number) .. ':' .. outcome) end
return outcome
"""
