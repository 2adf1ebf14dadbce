import { mock } from 'node:test';
import t from 'tap';
import { UsedDurations } from '../../../src/access/used-durations.ts';
import { Deadline } from '../../../src/sessions/deadline.ts';
import { waitFor } from '../../helpers/wait.ts';

const HOUR_MS = 3_600_000;

t.test('a deadline does not move when the wall clock steps', async (t) => {
  for (const stepMs of [-HOUR_MS, HOUR_MS]) {
    let reached = 0;
    let far = 0;
    const near = new Deadline(Date.now() + 50, () => reached++);
    const later = new Deadline(Date.now() + HOUR_MS / 2, () => far++);
    mock.timers.enable({ apis: ['Date'], now: Date.now() + stepMs });
    try {
      await waitFor('the deadline', () => reached === 1);
      t.equal(far, 0);
    } finally {
      mock.timers.reset();
      near.cancel();
      later.cancel();
    }
  }
});

t.test('the time that a token may be used counts from its first use, whatever the wall clock does', async (t) => {
  const durations = new UsedDurations();
  const expiresAt = Date.now() + HOUR_MS;
  t.equal(durations.left('token', 60_000, expiresAt, 1000), 60_000);
  mock.timers.enable({ apis: ['Date'], now: Date.now() - HOUR_MS });
  t.teardown(() => mock.timers.reset());
  t.equal(durations.left('token', 60_000, expiresAt, 21_000), 40_000);
  t.equal(durations.left('other', 60_000, expiresAt, 21_000), 60_000);
  t.equal(durations.left('token', 60_000, expiresAt, 81_000), -20_000);
});
