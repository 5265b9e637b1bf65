"""What Redis does in one step; a key holds one string that begins with its kind.

`V` a value, `L` the token of a fill lease and the generation that it was given in, `F` fences, each
a token of 16 characters and the time in milliseconds, 13 digits, at which it expires, and for the
marker of a group `G` its generation. What is of another generation than the marker is as good as
absent.
Anything else, of whatever type, was put there by a stranger and is replaced.
"""

import pegboard

TOKEN_LENGTH = 16

_HELD = """
local function held(key)
  local found = redis.pcall('GET', key)
  -- A stranger's: of another type, or a fence that would never end.
  local is_strange = type(found) == 'table'
    or found and string.sub(found, 1, 1) == 'F' and redis.call('PTTL', key) == -1
  if is_strange then
    redis.call('DEL', key)
    return false
  end
  return found
end
local function kind(found) return found and string.sub(found, 1, 1) end
"""

LEASE = pegboard.Script(
    _HELD
    + """
-- KEYS: marker, key. ARGV: token, generation for a marker that has none, milliseconds of the lease,
-- milliseconds of the marker, 1 to replace a value that is not to be trusted.
local mark = held(KEYS[1])
if kind(mark) == 'F' then return {'F'} end
if kind(mark) ~= 'G' or #mark ~= 17 then
  mark = 'G' .. ARGV[2]
  redis.call('SET', KEYS[1], mark, 'PX', ARGV[4])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
local found = held(KEYS[2])
local what = kind(found)
if what == 'F' then return {'F'} end
local generation = string.sub(mark, 2)
if what == 'L' and string.sub(found, 18) == generation then return {'B'} end
if what == 'V' and ARGV[5] == '0' and string.sub(found, 2, 17) == generation then
  return {'V', mark, found}
end
redis.call('SET', KEYS[2], 'L' .. ARGV[1] .. generation, 'PX', ARGV[3])
return {'L', mark}
"""
)

FILL = pegboard.Script(
    _HELD
    + """
-- KEYS: marker, key. ARGV: token, mark, value, seconds.
local lease = 'L' .. ARGV[1] .. string.sub(ARGV[2], 2)
if held(KEYS[1]) ~= ARGV[2] or held(KEYS[2]) ~= lease then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
return 1
"""
)

GIVE_BACK = pegboard.Script(
    _HELD
    + """
-- KEYS: key. ARGV: token.
local found = held(KEYS[1])
if found and string.sub(found, 1, 17) == 'L' .. ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
)

_FENCES = (
    _HELD
    + """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function standing(found, without)
  local kept, last = {}, 0
  if kind(found) == 'F' then
    for position = 2, #found, 29 do
      local token = string.sub(found, position, position + 15)
      local expiry = tonumber(string.sub(found, position + 16, position + 28))
      if token ~= without and expiry and expiry > now then
        kept[#kept + 1] = string.sub(found, position, position + 28)
        last = math.max(last, expiry)
      end
    end
  end
  return table.concat(kept), last
end
"""
)

FENCE = pegboard.Script(
    _FENCES
    + """
-- KEYS: key or marker. ARGV: token, milliseconds of the fence.
local others, last = standing(held(KEYS[1]), ARGV[1])
local expiry = now + ARGV[2]
local fence = ARGV[1] .. string.format('%013.0f', expiry)
redis.call('SET', KEYS[1], 'F' .. others .. fence, 'PX', math.max(expiry, last) - now)
return 1
"""
)

RELEASE = pegboard.Script(
    _FENCES
    + """
-- KEYS: key or marker. ARGV: token.
local others, last = standing(held(KEYS[1]), ARGV[1])
if others == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], 'F' .. others, 'PX', last - now)
end
return 1
"""
)
