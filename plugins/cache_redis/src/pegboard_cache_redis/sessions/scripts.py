"""Lua scripts on sessions, each one atomic step.

A session is one hash. Only BEGIN creates one, under an id that was never used: the other scripts
do nothing where there is none, so a late request cannot bring back a session that has ended.
"""

from pegboard.redis import Script

GONE = 0
"""The session does not exist."""

DONE = 1

ENDED = 2
"""It is done, and the session has ended, as nothing is left in it."""

REFUSED = -1
"""The session is or would become too large, or is not what the caller expects."""

# KEYS: the session. ARGV: how many bytes and how many fields are read at most.
# Returns names and values in turns, then the milliseconds that it has left.
READ = Script("""
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then return -1 end
-- This field never exists, so nothing is removed; but it fails on a replica, which may still hold a
-- session that has ended.
redis.call('HDEL', KEYS[1], '\\255')
if kind == 'none' then return 0 end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then return -1 end
local size = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  size = size + #name + redis.call('HSTRLEN', KEYS[1], name)
  if size > tonumber(ARGV[1]) then return -1 end -- before anything large is copied
end
local stored = redis.call('HGETALL', KEYS[1])
stored[#stored + 1] = redis.call('PTTL', KEYS[1])
return stored
""")

# KEYS: the session. ARGV: its milliseconds, then names and values in turns.
BEGIN = Script("""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
""")

# KEYS: the session. ARGV: its new milliseconds, or 0 to leave them; the most bytes it may have; how
# many fields are written; their names and values in turns; the names of the fields to remove.
UPDATE = Script("""
local stored = redis.call('HGETALL', KEYS[1])
if #stored == 0 then return 0 end
local weights, before = {}, 0
for i = 1, #stored, 2 do
  weights[stored[i]] = #stored[i] + #stored[i + 1]
  before = before + weights[stored[i]]
end
local first, last, after = 4, 3 + 2 * tonumber(ARGV[3]), before
for i = first, last, 2 do after = after - (weights[ARGV[i]] or 0) + #ARGV[i] + #ARGV[i + 1] end
for i = last + 1, #ARGV do after = after - (weights[ARGV[i]] or 0) end
if after > tonumber(ARGV[2]) and after > before then return -1 end
for i = first, last, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if redis.call('EXISTS', KEYS[1]) == 0 then return 2 end
if tonumber(ARGV[1]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
""")

# KEYS: the old id and the new one. ARGV: milliseconds; the length of a value's seal; how many
# fields the old one is expected to have, their names and seals in turns; then the names and values
# of the new one.
MOVE = Script("""
local stored = redis.call('HGETALL', KEYS[1])
if #stored == 0 then return 0 end
local expected, last = {}, 3 + 2 * tonumber(ARGV[3])
for i = 4, last, 2 do expected[ARGV[i]] = ARGV[i + 1] end
if #stored ~= 2 * tonumber(ARGV[3]) then return -1 end
for i = 1, #stored, 2 do
  if expected[stored[i]] ~= string.sub(stored[i + 1], 1, tonumber(ARGV[2])) then return -1 end
end
redis.call('UNLINK', KEYS[1]) -- first: a script that has written is never stopped for memory
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
if #ARGV == last then return 2 end
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
""")
