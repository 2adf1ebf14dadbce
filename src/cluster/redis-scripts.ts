import { LOG_SCRIPTS } from './redis-log-scripts.ts';

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

interface Script {
  readonly numberOfKeys: number;
  readonly lua: string;
}

export const SCRIPTS = {
  ...LOG_SCRIPTS,
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
  /**
   * Notes the time of a member. KEYS index. ARGV member, age in milliseconds after which members are removed, `first` to
   * keep the time of a member that is noted already.
   */
  wtTouch: {
    numberOfKeys: 1,
    lua: `${CLOCK}
if ARGV[3] == 'first' then redis.call('ZADD', KEYS[1], 'NX', int(now()), ARGV[1])
else redis.call('ZADD', KEYS[1], int(now()), ARGV[1]) end
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
  /** KEYS index. ARGV ms, ms. Returns the members whose time is over in at most the first, or in more than the second. */
  wtActive: {
    numberOfKeys: 1,
    lua: `${CLOCK}
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. int(now()), int(now() + tonumber(ARGV[1])))
local from = math.max(tonumber(ARGV[1]), tonumber(ARGV[2]))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. int(now() + from), '+inf')) do
  found[#found + 1] = name
end
return found`,
  },
  /** KEYS lease, epoch, offer, accepted. ARGV epoch, offer, ttl. Returns the node that has accepted, or empty. */
  wtOffer: {
    numberOfKeys: 4,
    lua: `${LEASE}${LATEST}
if latest() > tonumber(ARGV[1]) then return {1, ''} end
redis.call('SET', KEYS[3], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return {0, redis.call('GET', KEYS[4]) or ''}`,
  },
  /** KEYS offer, accepted. ARGV epoch. */
  wtWithdraw: {
    numberOfKeys: 2,
    lua: `local epoch = string.match(redis.call('GET', KEYS[1]) or '', '^%d+')
if epoch and epoch ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1`,
  },
  /** KEYS offer, accepted. ARGV node, ttl. Returns the offer, or empty. */
  wtAccept: {
    numberOfKeys: 2,
    lua: `local offer = redis.call('GET', KEYS[1])
if not offer then return '' end
local by = redis.call('GET', KEYS[2])
if by and by ~= ARGV[1] then return '' end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return offer`,
  },
  /** KEYS records. ARGV key, version, value. Replaces a record of this version; a record is the text `VERSION VALUE`. */
  wtPutIfVersion: {
    numberOfKeys: 1,
    lua: `
local current = redis.call('HGET', KEYS[1], ARGV[1])
if not current or string.match(current, '^(%S+) ') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`,
  },
  /** KEYS value. ARGV value, ttl. Returns the value that is kept. */
  wtKeepFirst: {
    numberOfKeys: 1,
    lua: `redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX')
return redis.call('GET', KEYS[1])`,
  },
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;
