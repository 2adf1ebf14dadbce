import t from 'tap';
import {
  comply,
  ENCODE_AFTER_MS,
  INITIAL_COMPLIANCE,
  PASS_AFTER_MS,
  TRY_AGAIN_MS,
  type ComplianceEvent,
  type ComplianceState,
} from '../../../src/renditions/compliance-state.ts';

const judged = (nowMs: number, ...broken: string[]): ComplianceEvent => ({ type: 'judged', broken, nowMs });
const paused: ComplianceEvent = { type: 'paused' };
const failed = (nowMs: number): ComplianceEvent => ({ type: 'encoder-failed', nowMs });

const STATES = {
  passing: INITIAL_COMPLIANCE,
  broken: { name: 'passing', because: ['rate'], sinceMs: 0 },
  blocked: { name: 'passing', because: ['rate'], sinceMs: 0, notBeforeMs: TRY_AGAIN_MS },
  encoding: { name: 'encoding', because: ['rate'] },
  kept: { name: 'encoding', because: ['rate'], keptSinceMs: 0 },
} as const satisfies Record<string, ComplianceState>;

t.test('every state and event', async (t) => {
  const due = ENCODE_AFTER_MS;
  const cases: [keyof typeof STATES, ComplianceEvent, Partial<ComplianceState>, ('encode' | 'pass')?][] = [
    ['passing', judged(0), STATES.passing],
    ['passing', judged(0, 'rate'), STATES.broken],
    ['passing', paused, STATES.passing],
    ['passing', failed(0), STATES.passing],
    ['broken', judged(due), STATES.passing],
    ['broken', judged(due - 1, 'rate', 'size'), { ...STATES.broken, because: ['rate', 'size'] }],
    ['broken', judged(due, 'size'), { name: 'encoding', because: ['size'] }, 'encode'],
    ['broken', paused, STATES.passing],
    ['broken', failed(0), STATES.broken],
    ['blocked', judged(due), { name: 'passing', because: [], notBeforeMs: TRY_AGAIN_MS }],
    ['blocked', judged(TRY_AGAIN_MS - 1, 'rate'), STATES.blocked],
    ['blocked', judged(TRY_AGAIN_MS, 'rate'), STATES.encoding, 'encode'],
    ['blocked', paused, { name: 'passing', because: [], notBeforeMs: TRY_AGAIN_MS }],
    ['blocked', failed(0), STATES.blocked],
    ['encoding', judged(0), STATES.kept],
    ['encoding', judged(0, 'size'), { name: 'encoding', because: ['size'] }],
    ['encoding', paused, STATES.encoding],
    ['encoding', failed(5), { name: 'passing', because: ['rate'], notBeforeMs: 5 + TRY_AGAIN_MS }, 'pass'],
    ['kept', judged(PASS_AFTER_MS - 1), STATES.kept],
    ['kept', judged(PASS_AFTER_MS), STATES.passing, 'pass'],
    ['kept', judged(1, 'size'), { name: 'encoding', because: ['size'] }],
    ['kept', paused, STATES.encoding],
    ['kept', failed(5), { name: 'passing', because: ['rate'], notBeforeMs: 5 + TRY_AGAIN_MS }, 'pass'],
  ];
  for (const [name, event, state, effect] of cases) {
    const next = comply(STATES[name], event);
    t.strictSame(next.state, state, `${name}, ${JSON.stringify(event)}`);
    t.equal(next.effect, effect, `${name}, ${JSON.stringify(event)}`);
  }
});
