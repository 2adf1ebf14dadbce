/**
 * The Lua scripts that Redis runs. A lease is the text `EPOCH INSTANCE NODE`. Times are of Redis's own clock, in
 * milliseconds.
 */

const CLOCK = `
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local function int(number) return string.format('%.0f', number) end
`;
const LEASE = `
local function parse(text)
  local epoch, instance, node = string.match(text, '^(%d+) (%S+) (.+)$')
  return tonumber(epoch), instance, node
end
`;

/** The epoch of the owner, or of the last one. */
const LATEST = `
local function latest()
  local current = redis.call('GET', KEYS[1])
  if current then return (parse(current)) end
  return tonumber(redis.call('GET', KEYS[2]) or '0')
end
`;

/** Of a shared log: its head is a hash of generation, position, snapshot (its position) and info. */
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

interface Script {
  readonly numberOfKeys: number;
  readonly lua: string;
}

export const SCRIPTS = {
  /**
   * KEYS lease, epoch. ARGV node, instance, ttl, epoch ttl, epoch to replace. Epochs are counted up from the clock, so
   * that they grow even if Redis has lost the counter.
   */
  wtClaim: {
    numberOfKeys: 2,
    lua: `${CLOCK}${LEASE}
local current = redis.call('GET', KEYS[1])
local epoch = 0
if current then
  local instance, node
  epoch, instance, node = parse(current)
  if node == ARGV[1] and instance == ARGV[2] then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return {1, int(epoch)}
  end
  -- An earlier process of the same node has ended.
  if node ~= ARGV[1] and int(epoch) ~= ARGV[5] then return {0, current} end
end
local counter = redis.call('INCR', KEYS[2])
epoch = math.max(counter, now(), epoch + 1)
redis.call('SET', KEYS[2], int(epoch), 'PX', ARGV[4])
redis.call('SET', KEYS[1], int(epoch) .. ' ' .. ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[3])
return {1, int(epoch)}`,
  },
  /** KEYS lease, epoch, pushes. ARGV node, instance, epoch, ttl, epoch ttl, push ttl. */
  wtHold: {
    numberOfKeys: 3,
    lua: `${CLOCK}${LEASE}
local mine = tonumber(ARGV[3])
local current = redis.call('GET', KEYS[1])
if current then
  local epoch, instance, node = parse(current)
  if epoch > mine then return {0, current} end
  if epoch == mine and (node ~= ARGV[1] or instance ~= ARGV[2]) then return {0, current} end
end
local counter = tonumber(redis.call('GET', KEYS[2]) or '0')
if counter > mine then return {0, ''} end
redis.call('SET', KEYS[2], int(mine), 'PX', ARGV[5])
redis.call('SET', KEYS[1], int(mine) .. ' ' .. ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[4])
return {1, redis.call('PEXPIRE', KEYS[3], ARGV[6])}`,
  },
  /** KEYS lease. ARGV node, instance, epoch. */
  wtRelease: {
    numberOfKeys: 1,
    lua: `if redis.call('GET', KEYS[1]) == ARGV[3] .. ' ' .. ARGV[2] .. ' ' .. ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`,
  },
  /** KEYS node. ARGV instance, ttl, then fields and values. */
  wtBeat: {
    numberOfKeys: 1,
    lua: `local instance = redis.call('HGET', KEYS[1], 'instance')
if instance and instance ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`,
  },
  /** KEYS node. ARGV instance. */
  wtLeave: {
    numberOfKeys: 1,
    lua: `if redis.call('HGET', KEYS[1], 'instance') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`,
  },
  /** Notes the time of a member. KEYS index. ARGV member, age in milliseconds after which members are removed. */
  wtTouch: {
    numberOfKeys: 1,
    lua: `${CLOCK}
redis.call('ZADD', KEYS[1], int(now()), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now() - tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`,
  },
  /** Members that were not noted for a time, each followed by that time. KEYS index. ARGV time in milliseconds, limit. */
  wtStale: {
    numberOfKeys: 1,
    lua: `${CLOCK}
local time = now()
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(time - tonumber(ARGV[1])), 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 2, #found, 2 do found[i] = int(time - tonumber(found[i])) end
return found`,
  },
  /** KEYS lease, epoch, pushes. ARGV epoch, id, sealed push, push ttl. */
  wtPutPush: {
    numberOfKeys: 3,
    lua: `${LEASE}${LATEST}
if latest() > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return 1`,
  },
  /** KEYS lease, epoch, pushes. ARGV epoch, id. Returns 2 when no push is left. */
  wtRemovePush: {
    numberOfKeys: 3,
    lua: `${LEASE}${LATEST}
if latest() > tonumber(ARGV[1]) then return 0 end
redis.call('HDEL', KEYS[3], ARGV[2])
return redis.call('EXISTS', KEYS[3]) == 1 and 1 or 2`,
  },
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
  /** KEYS index. ARGV member, ttl. Notes until when a member is there. */
  wtUntil: {
    numberOfKeys: 1,
    lua: `${CLOCK}
redis.call('ZADD', KEYS[1], int(now() + tonumber(ARGV[2])), ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1`,
  },
  /** KEYS index. Removes the members whose time is over and returns the others. */
  wtPresent: {
    numberOfKeys: 1,
    lua: `${CLOCK}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now()))
return redis.call('ZRANGE', KEYS[1], 0, -1)`,
  },
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;
