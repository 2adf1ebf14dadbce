import t from 'tap';
import { retryRules } from '../../../../src/outputs/push/retry-rules.ts';
import type { StartRequest } from '../../../../src/outputs/push/transponder-control.ts';

const settings = { enabled: false, attempts: 3, intervalMs: 5000, capMs: 60_000 };
const rulesOf = (request: Partial<StartRequest>, of = settings) =>
  retryRules({ streamName: 'show', rtmpUrl: 'rtmp://example.com/live', ...request }, of);

t.test('what the request does not say is as in the settings', async (t) => {
  t.strictSame(rulesOf({}), settings);
  t.match(rulesOf({ restore: true }), { ...settings, enabled: true });
  t.match(rulesOf({ restore: false }, { ...settings, enabled: true }), { enabled: false });
  t.match(rulesOf({ restoreAttempts: 7 }), { enabled: true, attempts: 7, intervalMs: 5000 });
  t.match(rulesOf({ restore: false, restoreAttempts: 7 }), { enabled: false });
  t.match(rulesOf({ restoreIntervalMs: 100, restoreMaxIntervalMs: 800 }), {
    enabled: true,
    intervalMs: 100,
    capMs: 800,
  });
});

t.test('a push with a backup reconnects unless its request says otherwise', async (t) => {
  const backupUrl = 'rtmp://b.example.com/live';
  t.match(rulesOf({ backupUrl }), { enabled: true, attempts: 3 });
  t.match(rulesOf({ backupUrl, restore: false }), { enabled: false });
});

t.test('an interval above the cap is used without backoff', async (t) => {
  t.match(rulesOf({ restoreIntervalMs: 120_000 }), { intervalMs: 120_000, capMs: 0 });
});
