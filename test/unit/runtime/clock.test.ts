import { getEventListeners } from 'node:events';
import t from 'tap';
import { sleep } from '../../../src/runtime/clock.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

t.test('sleep ends after its time or when the signal aborts, and leaves nothing', async (t) => {
  const clock = new FakeClock();
  const control = new AbortController();
  let ended = 0;
  const start = (ms: number): void => void sleep(clock, ms, control.signal).then(() => ended++);
  start(100);
  start(1000);
  await clock.passSettled(99);
  t.equal(ended, 0);
  await clock.passSettled(1);
  await clock.passSettled(0);
  t.equal(ended, 1);
  t.equal(getEventListeners(control.signal, 'abort').length, 1, 'that of the other one');
  control.abort();
  await clock.passSettled(0);
  t.equal(ended, 2);
  t.equal(clock.timers, 0);
  t.equal(getEventListeners(control.signal, 'abort').length, 0);
  start(1000);
  await clock.passSettled(0);
  t.equal(ended, 3, 'aborted before');
  t.equal(clock.timers, 0);
});
