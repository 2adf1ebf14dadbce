import t from 'tap';
import {
  stepGive,
  stepTake,
  type GiveEvent,
  type GiveState,
  type TakeEvent,
  type TakeState,
} from '../../../src/cluster/hand-over-state.ts';

t.test('giving a stream: every state with every event', async (t) => {
  const events: GiveEvent[] = ['open', 'accepted', 'taken', 'released', 'closed', 'stopped'];
  const expected: Record<GiveState, (readonly [GiveState, ...string[]])[]> = {
    offered: [
      ['offered'],
      ['accepted', 'report-accepted'],
      ['ending', 'report-moved', 'let-go', 'await-close'],
      ['ending', 'await-close'],
      ['offered'],
      ['over', 'withdraw'],
    ],
    accepted: [
      ['offered', 'report-abandoned'],
      ['accepted'],
      ['ending', 'report-moved', 'let-go', 'await-close'],
      ['ending', 'await-close'],
      ['accepted'],
      ['over', 'withdraw'],
    ],
    ending: [['ending'], ['ending'], ['ending'], ['ending'], ['over', 'withdraw'], ['ending']],
    over: [['over'], ['over'], ['over'], ['over'], ['over'], ['over']],
  };
  for (const [state, steps] of Object.entries(expected))
    events.forEach((event, index) => {
      const [next, ...effects] = steps[index]!;
      t.strictSame(stepGive(state as GiveState, event), { state: next, effects }, `${state} ${event}`);
    });
});

t.test('taking a stream: every state with every event', async (t) => {
  const events: TakeEvent[] = ['ready', 'held', 'failed', 'overdue', 'withdrawn', 'granted', 'refused'];
  const over: TakeState = { phase: 'over' };
  const connecting: TakeState = { phase: 'connecting' };
  const claiming = (held: boolean): TakeState => ({ phase: 'claiming', held });
  const waiting: TakeState = { phase: 'waiting' };
  const expected: readonly (readonly [TakeState, (readonly [TakeState, ...string[]])[]])[] = [
    [
      connecting,
      [
        [claiming(false), 'claim'],
        [claiming(true), 'claim'],
        [over, 'drop', 'avoid'],
        [over, 'drop', 'avoid'],
        [over, 'drop'],
        [connecting],
        [connecting],
      ],
    ],
    ...([false, true].map(
      (held) =>
        [
          claiming(held),
          [
            ...Array.from({ length: 5 }, () => [claiming(held)] as const),
            [held ? waiting : over, 'keep'],
            [over, 'drop', 'avoid'],
          ],
        ] as const,
    ) as [TakeState, [TakeState, ...string[]][]][]),
    [waiting, [[waiting], [waiting], [waiting], [over, 'retry'], [over, 'retry'], [waiting], [waiting]]],
    [over, Array.from({ length: 7 }, () => [over] as const)],
  ];
  for (const [state, steps] of expected)
    events.forEach((event, index) => {
      const [next, ...effects] = steps[index]!;
      t.strictSame(stepTake(state, event), { state: next, effects }, `${JSON.stringify(state)} ${event}`);
    });
});
