"""Lua scripts, each one atomic step; a key holds one string that begins with its kind.

`V` a value, `L` the token of a fill lease and the generation that it was given in, `F` fences, each
a token of 16 characters and the time in milliseconds, 13 digits, at which it expires, and for the
marker of a group `G` its generation. What is of another generation than the marker counts as
absent. Anything else, of any type, is foreign and is replaced; so is a lease that never expires,
and a fence of more than `LONGEST_FENCE`.

No more is read of a key than could be stored there: a long string would delay all clients.
"""

import secrets

from pegboard.redis import Script

TOKEN_LENGTH = 16

LONGEST_FENCE = 120_000
"""Milliseconds; no fence stands as long."""

LONGEST_LIST = 256 * 1024
"""The most bytes that the fences of a key have: nine thousand of them, more than ever stand."""

_HELD = """
local is_strange = 0
local function held(key, longest)
  local found = redis.pcall('GETRANGE', key, 0, longest) -- one more, which tells what is longer
  if type(found) == 'table' then
    redis.call('UNLINK', key)
    is_strange = 1
    return false
  end
  if found == '' and redis.call('EXISTS', key) == 0 then return false end
  return found
end
local function kind(found) return found and string.sub(found, 1, 1) end
"""

_FENCES = (
    _HELD
    + f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local longest_list = {LONGEST_LIST}
local function standing(found, without)
  local kept, last = {{}}, 0
  if kind(found) == 'F' then
    for position = 2, #found, 29 do
      local token = string.sub(found, position, position + 15)
      local expiry = tonumber(string.sub(found, position + 16, position + 28))
      if token ~= without and expiry and expiry > now and expiry <= now + {LONGEST_FENCE} then
        kept[#kept + 1] = string.sub(found, position, position + 28)
        last = math.max(last, expiry)
      end
    end
  end
  return table.concat(kept), last
end
"""
)

LEASE = Script(
    _FENCES
    + """
-- KEYS: marker, key. ARGV: token, generation for a marker that has none, milliseconds of the lease,
-- milliseconds of the marker, bytes of the longest value, 1 to replace what is not to be trusted.
-- Returns the kind of what stands in the way and what it is, or `L`, the marker, and whether
-- something was replaced that no service has put there.
local mark = held(KEYS[1], longest_list)
if standing(mark) ~= '' then return {'F'} end
if kind(mark) ~= 'G' or #mark ~= 17 then
  if mark and kind(mark) ~= 'F' then is_strange = 1 end
  mark = 'G' .. ARGV[2]
  redis.call('SET', KEYS[1], mark, 'PX', ARGV[4])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
local generation = string.sub(mark, 2)
local found = held(KEYS[2], math.max(ARGV[5], longest_list))
local what = kind(found)
if standing(found) ~= '' then return {'F'} end
local is_lease = what == 'L' and #found == 33
local is_current = is_lease and string.sub(found, 18) == generation
  or what == 'V' and string.sub(found, 2, 17) == generation
if is_lease and is_current then
  local rest = redis.call('PTTL', KEYS[2])
  if rest > 0 and rest <= tonumber(ARGV[3]) then return {'B'} end
elseif is_current and ARGV[6] == '0' then
  return {'V', mark, found}
end
local is_ours = is_lease or what == 'V' and #found >= 33
if found and (is_current or not is_ours) then is_strange = 1 end
redis.call('SET', KEYS[2], 'L' .. ARGV[1] .. generation, 'PX', ARGV[3])
return {'L', mark, is_strange}
"""
)

FILL = Script(
    _HELD
    + """
-- KEYS: marker, key. ARGV: token, mark, value, seconds.
local lease = 'L' .. ARGV[1] .. string.sub(ARGV[2], 2)
if held(KEYS[1], #ARGV[2]) ~= ARGV[2] or held(KEYS[2], #lease) ~= lease then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
return 1
"""
)

GIVE_BACK = Script(
    _HELD
    + """
-- KEYS: key. ARGV: token.
local found = held(KEYS[1], 16)
if found == 'L' .. ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return 1
"""
)

FENCE = Script(
    _FENCES
    + """
-- KEYS: key or marker. ARGV: token, milliseconds of the fence.
local others, last = standing(held(KEYS[1], longest_list), ARGV[1])
local expiry = now + ARGV[2]
local fence = ARGV[1] .. string.format('%013.0f', expiry)
redis.call('SET', KEYS[1], 'F' .. others .. fence, 'PX', math.max(expiry, last) - now)
return 1
"""
)

RELEASE = Script(
    _FENCES
    + """
-- KEYS: key or marker. ARGV: token.
local others, last = standing(held(KEYS[1], longest_list), ARGV[1])
if others == '' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], 'F' .. others, 'PX', last - now)
end
return 1
"""
)


def new_token() -> str:
    """Return a random name for a lease, a fence or a generation."""
    return secrets.token_hex(TOKEN_LENGTH // 2)
