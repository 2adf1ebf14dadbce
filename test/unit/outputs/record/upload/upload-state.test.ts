import t from 'tap';
import {
  fittingPartBytes,
  MAX_PARTS,
  multipartEtag,
  partRange,
  plainEtag,
  type UploadedPart,
} from '../../../../../src/outputs/record/upload/part-plan.ts';
import { Throttle } from '../../../../../src/outputs/record/upload/throttle.ts';
import {
  nextUploadState,
  type UploadEvent,
  type UploadFacts,
  type UploadFailure,
  type UploadState,
} from '../../../../../src/outputs/record/upload/upload-state.ts';

const NEW: UploadFacts = {
  ...{ partBytes: 10, bytes: 0, ended: false, checked: true, parts: new Map(), lost: false },
  ...{ confirmed: false, local: true, deleteLocal: false },
};
const part = (number: number, bytes = 10): UploadedPart => ({ number, bytes, etag: `e${number}`, md5: `0${number}` });
const parts = (...some: UploadedPart[]) => new Map(some.map((one) => [one.number, one]));
const state = (status: UploadState['status'], facts: Partial<UploadFacts> = {}, failures = 0): UploadState => ({
  ...{ status, failures, facts: { ...NEW, ...facts } },
});
const run = (from: UploadState, ...events: UploadEvent[]) => {
  let current = from;
  let effects: string[] = [];
  for (const event of events) {
    const next = nextUploadState(current, event);
    current = next.state;
    effects = next.effects.map((effect) =>
      effect.type !== 'run'
        ? effect.type
        : effect.step.type === 'part'
          ? `part ${effect.step.range.number} (${effect.step.range.from}+${effect.step.range.bytes})`
          : effect.step.type === 'complete'
            ? `complete ${effect.step.parts.map(({ number }) => number).join()}`
            : effect.step.type === 'begin'
              ? `begin ${effect.step.partBytes}`
              : effect.step.type,
    );
  }
  return { status: current.status, effects: effects.join(' '), failures: current.failures, facts: current.facts };
};
const outcome = (from: UploadState, ...events: UploadEvent[]): string => {
  const { status, effects } = run(from, ...events);
  return effects ? `${status}: ${effects}` : status;
};

const grown = (bytes: number): UploadEvent => ({ type: 'grown', bytes });
const ended = (bytes: number): UploadEvent => ({ type: 'ended', bytes });
const failed = (failure: UploadFailure): UploadEvent => ({ type: 'failed', failure });
const BEGUN: UploadEvent = { type: 'succeeded', result: { type: 'begin', uploadId: 'u', partBytes: 10 } };
const sent = (number: number, bytes?: number): UploadEvent => ({
  ...{ type: 'succeeded', result: { type: 'part', part: part(number, bytes) } },
});
const COMPLETED: UploadEvent = { type: 'succeeded', result: { type: 'complete', etag: 'x' } };
const CONFIRMED: UploadEvent = { type: 'succeeded', result: { type: 'confirm' } };
const RELEASED: UploadEvent = { type: 'succeeded', result: { type: 'release' } };
const DUE: UploadEvent = { type: 'due' };
const CANCEL: UploadEvent = { type: 'cancel' };

await t.test('a recording is uploaded while it grows, its first part last', async (t) => {
  const steps: [UploadEvent, string][] = [
    [grown(5), 'idle'],
    // The first part waits for the end, so there is nothing to send before the second one.
    [grown(19), 'idle'],
    [grown(20), 'working: begin 10'],
    [grown(25), 'working'],
    [BEGUN, 'working: part 2 (10+10)'],
    [grown(41), 'working'],
    [sent(2), 'working: part 3 (20+10)'],
    [sent(3), 'working: part 4 (30+10)'],
    [sent(4), 'idle'],
    [ended(43), 'working: part 5 (40+3)'],
    [grown(99), 'working'],
    [sent(5, 3), 'working: part 1 (0+10)'],
    [sent(1), 'working: complete 1,2,3,4,5'],
    [COMPLETED, 'working: confirm'],
    [CONFIRMED, 'stored'],
  ];
  const events: UploadEvent[] = [];
  for (const [event, expected] of steps) {
    events.push(event);
    t.equal(outcome(state('idle'), ...events), expected, JSON.stringify(event));
  }
  t.equal(
    outcome(state('idle', { deleteLocal: true }), ...events),
    'working: release',
    'the file is deleted after that alone',
  );
  t.equal(outcome(state('idle', { deleteLocal: true }), ...events, RELEASED), 'stored');
});

await t.test('a short recording is one part', async (t) => {
  t.equal(outcome(state('idle'), ended(3)), 'working: begin 10');
  t.equal(outcome(state('idle'), ended(3), BEGUN), 'working: part 1 (0+3)');
  t.equal(outcome(state('idle'), ended(3), BEGUN, sent(1, 3)), 'working: complete 1');
  t.equal(outcome(state('idle'), ended(0)), 'idle', 'an empty one is none');
});

await t.test('each state and each event', async (t) => {
  const facts = { bytes: 25, uploadId: 'u' };
  const events: Record<string, UploadEvent> = {
    ...{ grown: grown(30), ended: ended(30), succeeded: sent(2), failed: failed('other'), due: DUE, cancel: CANCEL },
  };
  const table: Record<UploadState['status'], Record<string, string>> = {
    idle: {
      ...{ grown: 'working: part 2 (10+10)', ended: 'working: part 2 (10+10)', succeeded: 'idle', failed: 'idle' },
      ...{ due: 'idle', cancel: 'cancelled: stop' },
    },
    working: {
      ...{ grown: 'working', ended: 'working', succeeded: 'idle', failed: 'delayed: delay', due: 'working' },
      cancel: 'cancelled: stop',
    },
    delayed: {
      ...{ grown: 'delayed', ended: 'delayed', succeeded: 'delayed', failed: 'delayed' },
      ...{ due: 'working: part 2 (10+10)', cancel: 'cancelled: stop' },
    },
    stored: Object.fromEntries(Object.keys(events).map((name) => [name, 'stored'])),
    cancelled: Object.fromEntries(Object.keys(events).map((name) => [name, 'cancelled'])),
  };
  for (const [status, expected] of Object.entries(table))
    for (const [name, event] of Object.entries(events))
      t.equal(outcome(state(status as UploadState['status'], facts), event), expected[name], `${status}, ${name}`);
});

await t.test('failures are counted until bytes arrive', async (t) => {
  const from = state('working', { bytes: 25 });
  const twice = [failed('other'), DUE, failed('denied'), DUE] as const;
  t.equal(run(from, ...twice).failures, 2);
  t.equal(run(from, ...twice, BEGUN).failures, 2, 'a begun upload is not a success');
  t.equal(run(from, ...twice, BEGUN, sent(2)).failures, 0);
});

await t.test('after a restart the parts are compared first', async (t) => {
  const resumed = state('idle', { uploadId: 'u', checked: false, parts: parts(part(2), part(3)) });
  t.equal(outcome(resumed, ended(35)), 'working: check');
  const checked: UploadEvent = { type: 'succeeded', result: { type: 'check', parts: [part(3)] } };
  t.equal(outcome(resumed, ended(35), checked), 'working: part 2 (10+10)');
  t.equal(
    outcome(state('idle', { uploadId: 'u', checked: false, etag: 'x' }), ended(35)),
    'working: confirm',
    'a finished object is only confirmed',
  );
  // A file that was cut after a crash.
  t.equal(
    outcome(state('idle', { uploadId: 'u', parts: parts(part(2), part(3)) }), ended(28)),
    'working: part 3 (20+8)',
  );
});

await t.test('an upload that the bucket does not know any more', async (t) => {
  const whole = { uploadId: 'u', ended: true, bytes: 20, parts: parts(part(1), part(2)) };
  const working = state('working', whole);
  t.equal(outcome(working, failed('gone')), 'delayed: delay');
  t.equal(outcome(working, failed('gone'), DUE), 'working: confirm', 'an answer may have been lost');
  t.equal(outcome(working, failed('gone'), DUE, CONFIRMED), 'stored');
  for (const failure of ['missing', 'differs', 'denied'] as const)
    t.equal(outcome(working, failed('gone'), DUE, failed(failure)), 'working: begin 10', failure);
  t.equal(outcome(working, failed('gone'), DUE, failed('other')), 'delayed: delay');
  const running = state('working', { uploadId: 'u', bytes: 25, parts: parts(part(2)) });
  t.equal(outcome(running, failed('gone'), DUE), 'working: begin 10', 'a running one cannot have been finished');
});

await t.test('an object that is not confirmed', async (t) => {
  const completed = state('working', { uploadId: 'u', ended: true, bytes: 10, parts: parts(part(1)), etag: 'x' });
  t.equal(outcome(completed, failed('missing'), DUE), 'working: begin 10', 'deleted: from the beginning');
  for (const failure of ['differs', 'denied', 'other'] as const)
    t.equal(outcome(completed, failed(failure), DUE), 'working: confirm', failure);
});

await t.test('a file with too many parts is uploaded in larger ones', async (t) => {
  const from = state('idle', { uploadId: 'u', parts: parts(part(2)) });
  const large = ended(MAX_PARTS * 10 + 1);
  t.equal(outcome(from, large), 'working: restart');
  const again = run(from, large, { type: 'succeeded', result: { type: 'restart' } });
  t.equal(again.effects, 'begin 20');
  t.equal(outcome(state('idle', {}), large), 'working: begin 20');
});

await t.test('a bucket that takes fewer parts gets larger ones, within bounds', async (t) => {
  const RESTARTED: UploadEvent = { type: 'succeeded', result: { type: 'restart' } };
  const from = state('working', { uploadId: 'u', bytes: 45, parts: parts(part(2), part(3)) });
  t.equal(outcome(from, failed('argument')), 'delayed: delay');
  t.equal(outcome(from, failed('argument'), DUE), 'working: restart');
  t.equal(outcome(from, failed('argument'), DUE, failed('other'), DUE), 'working: restart');
  const again = run(from, failed('argument'), DUE, RESTARTED);
  t.equal(again.effects, 'begin 20');
  t.notOk(again.facts.needsLargerParts);
  t.equal(outcome(state('working', { uploadId: 'u', bytes: 45 }), failed('argument'), DUE), 'working: part 2 (10+10)');
  const largest = { partBytes: 4 * 1024 ** 3, uploadId: 'u', ended: true, bytes: 9 * 1024 ** 3 };
  const bounded = state('working', { ...largest, parts: parts(part(2, 4 * 1024 ** 3)) });
  t.match(outcome(bounded, failed('argument'), DUE), /^working: part 3/, 'parts have at most 5 GiB');
});

await t.test('parts', async (t) => {
  t.strictSame(partRange(1, 10, 25), { number: 1, from: 0, bytes: 10 });
  t.strictSame(partRange(3, 10, 25), { number: 3, from: 20, bytes: 5 });
  t.strictSame(partRange(4, 10, 25).bytes, 0);
  t.equal(fittingPartBytes(MAX_PARTS * 8, 8), 8);
  t.equal(fittingPartBytes(MAX_PARTS * 8 + 1, 8), 16);
  t.equal(plainEtag('"abc-2"'), 'abc-2');
  t.equal(plainEtag('W/"abc"'), 'abc');
  t.equal(plainEtag(undefined), '');
  // Two parts of 5 MiB of zeros: the ETag that S3 answers.
  const zeros = '5f363e0e58a95f06cbe9bbc662c5dfb6';
  t.equal(
    multipartEtag([1, 2].map((number) => ({ number, bytes: 5242880, etag: '', md5: zeros }))),
    'a7d414b9133d6483d9a1c4e04e856e3b-2',
  );
});

await t.test('the bytes of all uploads together are limited', async (t) => {
  let now = 1000;
  const throttle = new Throttle(8_000_000, () => now);
  t.equal(throttle.take(100_000), 0, 'a burst of 100 ms');
  t.equal(throttle.take(1000), 1);
  t.equal(throttle.take(1000), 2);
  now += 1000;
  t.equal(throttle.take(101_000), 1, 'a pause does not save up more than the burst');
  t.equal(new Throttle(0).take(1e9), 0);
  const abort = new AbortController();
  const waiting = throttle.wait(1_000_000, abort.signal);
  abort.abort(new Error('stopped'));
  await t.rejects(waiting);
});
