import t from 'tap';
import { stepLease, type LeaseEvent, type LeaseState } from '../../../src/cluster/lease-state.ts';
import { GatewayError } from '../../../src/errors.ts';
import { stepNode, type NodeEvent, type NodeState } from '../../../src/cluster/node-state.ts';

t.test('a lease: every state with every event', async (t) => {
  const by = { node: 'n2', instance: 'x', epoch: 9 };
  const reason = new GatewayError('NODE_LOST', 'silent');
  const events: LeaseEvent[] = [
    { type: 'confirmed', atMs: 5000 },
    { type: 'unreachable', atMs: 5000 },
    { type: 'unreachable', atMs: 70_000 },
    { type: 'superseded', by },
    { type: 'superseded', by: undefined },
    { type: 'givenUp', reason },
    { type: 'released' },
  ];
  const ended: LeaseState = { phase: 'ended' };
  const afterAny = (confirmedAtMs: number) => [
    { state: { phase: 'held', confirmedAtMs: 5000 }, effects: [] },
    { state: { phase: 'unconfirmed', confirmedAtMs }, effects: [] },
    { state: ended, effects: [{ type: 'lose', cause: 'grace-over' }] },
    { state: ended, effects: [{ type: 'lose', cause: 'superseded', by }] },
    { state: ended, effects: [{ type: 'lose', cause: 'superseded', by: undefined }] },
    { state: ended, effects: [{ type: 'lose', cause: 'given-up', reason }, { type: 'giveBack' }] },
    { state: ended, effects: [{ type: 'giveBack' }] },
  ];
  for (const phase of ['held', 'unconfirmed'] as const)
    events.forEach((event, index) => {
      const step = stepLease({ phase, confirmedAtMs: 1000 }, event, { graceMs: 60_000 });
      t.strictSame(step, afterAny(1000)[index], `${phase} ${JSON.stringify(event)}`);
    });
  for (const event of events) t.strictSame(stepLease(ended, event, { graceMs: 60_000 }), { state: ended, effects: [] });
});

t.test('a lease without Redis ends after the grace time, counted from the last confirmation, or never', async (t) => {
  const unconfirmed: LeaseState = { phase: 'unconfirmed', confirmedAtMs: 1000 };
  const at = (atMs: number, graceMs: number) => stepLease(unconfirmed, { type: 'unreachable', atMs }, { graceMs });
  t.equal(at(61_000, 60_000).state.phase, 'unconfirmed');
  t.equal(at(61_001, 60_000).state.phase, 'ended');
  t.equal(at(10_000_000, 0).state.phase, 'unconfirmed');
});

t.test('a node: every state with every event', async (t) => {
  const events: NodeEvent[] = ['workers-answered', 'workers-silent', 'drained', 'closed', 'id-taken'];
  const expected: Record<NodeState, (readonly [NodeState, ...string[]])[]> = {
    joining: [
      ['in-service', 'beat'],
      ['silent', 'report-silence'],
      ['draining', 'beat'],
      ['left', 'leave'],
      ['joining', 'report-conflict'],
    ],
    'in-service': [
      ['in-service', 'beat'],
      ['silent', 'report-silence'],
      ['draining', 'beat'],
      ['left', 'leave'],
      ['in-service', 'report-conflict'],
    ],
    silent: [
      ['in-service', 'report-return', 'beat'],
      ['failed', 'give-up'],
      ['silent'],
      ['left', 'leave'],
      ['silent', 'report-conflict'],
    ],
    failed: [
      ['in-service', 'report-return', 'beat'],
      ['failed'],
      ['failed'],
      ['left', 'leave'],
      ['failed', 'report-conflict'],
    ],
    draining: [
      ['in-service', 'beat'],
      ['silent', 'report-silence'],
      ['draining', 'beat'],
      ['left', 'leave'],
      ['draining', 'report-conflict'],
    ],
    left: [['left'], ['left'], ['left'], ['left'], ['left']],
  };
  for (const [state, steps] of Object.entries(expected))
    events.forEach((event, index) => {
      const [next, ...effects] = steps[index]!;
      t.strictSame(stepNode(state as NodeState, event, false), { state: next, effects }, `${state} ${event}`);
    });
  t.equal(stepNode('in-service', 'workers-answered', true).state, 'draining');
  for (const state of ['silent', 'failed'] as const)
    t.equal(stepNode(state, 'workers-answered', true).state, 'draining', 'a node that was silent still drains');
});
