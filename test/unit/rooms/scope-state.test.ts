import t from 'tap';
import type { JsonValue } from '../../../src/rooms/room-client.ts';
import { scopeLimits, ROOM_LIMITS } from '../../../src/rooms/room-limits.ts';
import type { ScopeEntry } from '../../../src/rooms/scope-entry.ts';
import { ScopeState } from '../../../src/rooms/scope-state.ts';
import { randomFrom } from '../../helpers/random.ts';

const LIMITS = { ...scopeLimits(ROOM_LIMITS), objects: 4, properties: 5, objectBytes: 600, scopeBytes: 1500 };
const HOST = { node: '', instance: '' };
const KEYS = ['a', 'ü', '"quoted"', '7', '__proto__', 'toJSON', '\ud800', 'line\nbreak'];

const bytesOf = (value: JsonValue): number => Buffer.byteLength(JSON.stringify(value));

/** As a scope without running totals counts it. */
function serialisedSize(state: ScopeState): number {
  const { attributes, objects } = state.snapshot();
  return objects.reduce(
    (sum, { properties }) => properties.reduce((total, [key, value]) => total + bytesOf(key) + bytesOf(value), sum),
    bytesOf(attributes),
  );
}

void t.test('the size of a scope is that of its serialised content, after each of many random entries', async (t) => {
  let refused = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const random = randomFrom(seed);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    const value = (): JsonValue =>
      pick<JsonValue>([null, true, 1.5, 'ü'.repeat(random() * 100), { b: ['c', null] }, '\ud800', -0, []]);
    let state = ScopeState.create(LIMITS);
    const entry = (): ScopeEntry => {
      const object = pick(['o1', 'o2', 'o3']);
      const id = pick(['m1', 'm2']);
      const key = pick(KEYS);
      switch (Math.floor(random() * 12)) {
        case 0:
          return { type: 'join', id, door: 'websocket', host: HOST, at: 0 };
        case 1:
          return { type: 'connect', id, object, persistent: random() < 0.3 };
        case 2:
          return { type: 'disconnect', id, object };
        case 3:
          return { type: 'change', id, object, operation: { type: 'delete', key } };
        case 4:
          return random() < 0.3
            ? { type: 'change', id, object, operation: { type: 'clear' } }
            : { type: 'change', id, object, operation: { type: 'send', method: 'm', args: [value()] } };
        case 5:
          return { type: pick(['acquire', 'release', 'deleteObject'] as const), object };
        case 6:
        case 7:
          return {
            type: 'configure',
            attributes: Object.fromEntries([
              [key, value()],
              [pick(KEYS), value()],
            ]),
          };
        case 8:
          return random() < 0.2 ? { type: 'leave', id } : { type: 'connect', id, object, persistent: false };
        default:
          return { type: 'change', id, object, operation: { type: 'set', key, value: value() } };
      }
    };
    for (let step = 0; step < 400; step++) {
      const next = entry();
      const before = JSON.stringify(state.snapshot());
      try {
        state.apply(next);
      } catch {
        refused++;
        if (JSON.stringify(state.snapshot()) !== before) t.fail(`seed ${seed}: ${next.type} was refused and changed`);
      }
      if (random() < 0.05) state = new ScopeState(JSON.parse(JSON.stringify(state.snapshot())));
      if (state.bytes !== serialisedSize(state)) {
        t.equal(state.bytes, serialisedSize(state), `seed ${seed}, step ${step}: ${JSON.stringify(next)}`);
        break;
      }
      if (state.bytes > LIMITS.scopeBytes) t.fail(`seed ${seed}: the scope is larger than allowed`);
    }
  }
  t.ok(refused > 500, `${refused} entries were refused`);
});

void t.test('a change does not serialise what it does not change', async (t) => {
  const state = ScopeState.create({ ...LIMITS, objectBytes: 100_000, scopeBytes: 1_000_000 });
  let serialised = 0;
  const counted = { toJSON: () => (serialised++, 'x') } as unknown as JsonValue;
  state.apply({ type: 'join', id: 'm', door: 'websocket', host: HOST, at: 0 });
  state.apply({ type: 'connect', id: 'm', object: 'o', persistent: false });
  state.apply({ type: 'configure', attributes: { counted } });
  state.apply({ type: 'change', id: 'm', object: 'o', operation: { type: 'set', key: 'counted', value: counted } });
  const before = serialised;
  for (let value = 0; value < 100; value++) {
    state.apply({ type: 'change', id: 'm', object: 'o', operation: { type: 'set', key: 'k', value } });
    state.apply({ type: 'configure', attributes: { n: value } });
  }
  t.equal(serialised, before);
});
