import t from 'tap';
import type { Logger } from '../../../src/observe/logger.ts';
import { VideoGate } from '../../../src/webrtc/video-gate.ts';
import {
  ALL_FLOWS,
  FAR_TOO_LONG_MS,
  LONG_FOR_MS,
  LONG_MS,
  nextShare,
  REDUCED_FOR_MS,
  SHORT_MS,
  STEP,
  STEP_MS,
  type ShareState,
} from '../../../src/webrtc/video-share.ts';

const LOOK_MS = 500;
const waiting = (waitingMs: number, nowMs: number) => ({ waitingMs, delayMs: waitingMs, nowMs });
const short = (nowMs: number) => ({ waitingMs: 0, delayMs: SHORT_MS - 1, nowMs });

t.test('half is paused while the queue is too long for some time', async (t) => {
  let state = nextShare(ALL_FLOWS, waiting(LONG_MS + 1, 0));
  t.equal(state.share, 1, 'not at once');
  t.equal(nextShare(state, waiting(LONG_MS, LONG_FOR_MS)).longSinceMs, undefined, 'one long tick is forgotten');
  state = nextShare(state, waiting(LONG_MS + 1, LONG_FOR_MS));
  t.equal(state.share, 0.5);
  const settledMs = LONG_FOR_MS + REDUCED_FOR_MS;
  t.equal(nextShare(state, waiting(LONG_MS + 1, settledMs - 1)).share, 0.5, 'while the effect is awaited');
  const shares: number[] = [];
  for (let nowMs = settledMs; shares.at(-1) !== 0; nowMs += REDUCED_FOR_MS) {
    state = nextShare(state, waiting(LONG_MS + 1, nowMs));
    shares.push(state.share);
  }
  t.strictSame(shares, [1 / 4, 1 / 8, 1 / 16, 0]);
});

t.test('nothing flows while the queue is far too long', async (t) => {
  for (const [share, returnsAt] of [
    [1, 0.5],
    [0.5, 0.25],
    [STEP, STEP],
  ] as const) {
    // Even while an earlier reduction has not had its effect.
    const before: ShareState = { ...ALL_FLOWS, share, settledAtMs: 100_000 };
    let state = nextShare(before, waiting(FAR_TOO_LONG_MS + 1, 0));
    t.equal(state.share, share);
    state = nextShare(state, waiting(FAR_TOO_LONG_MS + 1, LONG_FOR_MS));
    t.equal(state.share, 0);
    state = nextShare(state, waiting(60_000, 10_000));
    t.equal(state.share, 0);
    t.equal(nextShare(state, short(20_000)).share, returnsAt, 'half of what flowed returns');
  }
});

t.test('video returns in steps while the queue is short', async (t) => {
  let state: ShareState = { share: 0, returnsAt: STEP, longSinceMs: 0, settledAtMs: 1000 };
  t.equal(nextShare(state, short(999)).share, 0, 'not before the reduction has had its effect');
  t.equal(nextShare(state, { waitingMs: 0, delayMs: SHORT_MS, nowMs: 1000 }).share, 0, 'not while it is neither');
  const steps: [number, number][] = [];
  for (let nowMs = 1000; state.share < 1; nowMs += STEP_MS / 2) {
    const { share } = state;
    state = nextShare(state, short(nowMs));
    if (state.share > share) steps.push([nowMs, state.share]);
  }
  t.strictSame(
    steps,
    Array.from({ length: 8 }, (_, step) => [1000 + step * STEP_MS, (step + 1) * STEP]),
  );
  t.strictSame(nextShare(state, short(1e6)), { ...state, longSinceMs: undefined }, 'then it stays');
});

/** A gate with tracks that record what happens to them. */
function create(names: readonly string[]) {
  const logs: [string, Record<string, unknown>, string][] = [];
  const log =
    (level: string) =>
    (fields: Record<string, unknown>, text: string): void =>
      void logs.push([level, fields, text]);
  const gate = new VideoGate({ warn: log('warn'), info: log('info') } as unknown as Logger);
  const calls: string[] = [];
  const leave = new Map(
    names.map((name) => [
      name,
      gate.add({ pause: () => calls.push(`-${name}`), resume: () => calls.push(`+${name}`) }),
    ]),
  );
  let nowMs = 0;
  /** Looks at the queue, and returns what was paused and resumed. */
  const look = (waitingMs: number, times = 1): string => {
    calls.length = 0;
    for (; times > 0; times--) gate.update(waiting(waitingMs, (nowMs += LOOK_MS)));
    return calls.join(' ');
  };
  return { gate, look, logs, leave };
}

t.test('all tracks take turns, and losses are counted', async (t) => {
  const { gate, look, logs } = create(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  t.equal(look(0, 5), '');
  t.equal(look(500, 2), '-a -b -c -d');
  t.equal(gate.paused, 4);
  t.equal(look(0, 2), '+a', 'the first is back after the reduction has had its effect');
  t.equal(look(500, 2), '-e -f', 'then others are paused');
  gate.countMissed(7);
  t.equal(look(0, 3), '+b +c');
  t.equal(look(0, 20), '+d +e +f');
  t.equal(gate.paused, 0);
  t.equal(gate.missedFrames, 7);
  t.match(logs, [
    ['warn', { delayMs: 500, paused: 4, flowing: 4 }, /video is paused/],
    ['info', { missedFrames: 7 }, /no longer/],
  ]);
});

t.test('tracks come and go while some are paused', async (t) => {
  const { gate, look, leave } = create(['a', 'b']);
  t.equal(look(2000, 2), '-a -b');
  const calls: string[] = [];
  const leaveC = gate.add({ pause: () => calls.push('-c'), resume: () => calls.push('+c') });
  look(2000);
  t.strictSame(calls, ['-c'], 'a new one is paused too');
  leave.get('a')!();
  leaveC();
  leaveC();
  t.equal(gate.paused, 1);
  leave.get('b')!();
  t.equal(look(0, 20), '', 'nothing is left to resume');
  t.equal(gate.paused, 0);
});

t.test('a single track is paused and returns', async (t) => {
  const { look } = create(['a']);
  t.equal(look(2000, 2), '-a');
  t.equal(look(0, 20), '+a');
});
