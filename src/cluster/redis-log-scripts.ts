/**
 * The Lua scripts of shared logs. A log has three keys: its head, which is a hash of generation, position, snapshot (the
 * position of that) and info, its entries, which are a stream, and its snapshot.
 */

const LOG = `
local function int(number) return string.format('%.0f', number) end
local function head() return unpack(redis.call('HMGET', KEYS[1], 'generation', 'position', 'snapshot')) end
local function expire(ttl) for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end end
local function content()
  local generation, position, snapshot = head()
  local from = int(tonumber(snapshot) + 1) .. '-0'
  return {generation, snapshot, redis.call('GET', KEYS[3]), redis.call('XRANGE', KEYS[2], from, '+')}
end
`;

export const LOG_SCRIPTS = {
  /** KEYS of a log. ARGV generation, position, text of a snapshot, ttl, the next generation. */
  wtLogRead: {
    numberOfKeys: 3,
    lua: `${LOG}
local generation, position = head()
if not generation or (generation == ARGV[1] and tonumber(position) < tonumber(ARGV[2])) then
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', KEYS[1], 'generation', ARGV[5], 'position', ARGV[2], 'snapshot', ARGV[2])
  redis.call('SET', KEYS[3], ARGV[3])
  expire(ARGV[4])
elseif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
  expire(ARGV[4])
end
return content()`,
  },
  /** KEYS of a log. */
  wtLogPeek: {
    numberOfKeys: 3,
    lua: `${LOG}
if not head() then return {} end
return content()`,
  },
  /** KEYS of a log. ARGV generation, position that it must have reached, text, ttl, channel. Returns 0 if it is refused. */
  wtLogAppend: {
    numberOfKeys: 3,
    lua: `${LOG}
local generation, position = head()
if generation ~= ARGV[1] or tonumber(position) < tonumber(ARGV[2]) then return 0 end
position = int(redis.call('HINCRBY', KEYS[1], 'position', 1))
redis.call('XADD', KEYS[2], position .. '-0', 'text', ARGV[3])
expire(ARGV[4])
redis.call('PUBLISH', ARGV[5], generation .. ' ' .. position .. ' ' .. ARGV[3])
return tonumber(position)`,
  },
  /** KEYS of a log. ARGV generation, position, text. Keeps the entries since the snapshot before, for slow readers. */
  wtLogSnapshot: {
    numberOfKeys: 3,
    lua: `${LOG}
local generation, position, snapshot = head()
if generation ~= ARGV[1] or tonumber(snapshot) >= tonumber(ARGV[2]) or tonumber(position) < tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[3], ARGV[3], 'KEEPTTL')
redis.call('HSET', KEYS[1], 'snapshot', ARGV[2])
redis.call('XTRIM', KEYS[2], 'MINID', int(tonumber(snapshot) + 1) .. '-0')
return 1`,
  },
  /** KEYS of a log. ARGV generation, info, ttl. Returns -1 if there is none of this generation. */
  wtLogTouch: {
    numberOfKeys: 3,
    lua: `${LOG}
local generation, position = head()
if generation ~= ARGV[1] then return -1 end
redis.call('HSET', KEYS[1], 'info', ARGV[2])
expire(ARGV[3])
return tonumber(position)`,
  },
  /** KEYS of a log. ARGV generation, position. */
  wtLogRemove: {
    numberOfKeys: 3,
    lua: `${LOG}
local generation, position = head()
if generation ~= ARGV[1] or position ~= ARGV[2] then return 0 end
return redis.call('DEL', unpack(KEYS))`,
  },
} as const;
