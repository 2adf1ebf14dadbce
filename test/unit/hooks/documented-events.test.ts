import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { ERROR_KINDS } from '../../../src/errors.ts';
import { EVENT_DATA, EVENT_TYPES, matchesEvent, type EventType } from '../../../src/hooks/events.ts';

const text = readFileSync(join(import.meta.dirname, '../../../docs/hooks.md'), 'utf8');

t.test('docs/hooks.md lists every event with an example that fits', async (t) => {
  const rows = [...text.matchAll(/^\| `([a-z]+\.[a-z_]+)` \|/gm)].map(([, type]) => type);
  t.strictSame(rows.sort(), [...EVENT_TYPES].sort());
  const examples = [...text.matchAll(/^```json\n(.*?)^```/gms)].map(([, json]) => JSON.parse(json!));
  t.strictSame(examples.map(({ type }) => type).sort(), [...EVENT_TYPES].sort());
  for (const { type, timestamp, data, ...others } of examples) {
    t.strictSame(others, {});
    t.equal(new Date(timestamp).toISOString(), timestamp);
    t.doesNotThrow(() => EVENT_DATA[type as EventType].parse(data), type);
    if (data.code) t.ok(data.code in ERROR_KINDS, data.code);
  }
});

t.test('patterns of events', async (t) => {
  t.strictSame(SettingsSchema.parse({ webhook_events: EVENT_TYPES.join(',') }).webhook_events, EVENT_TYPES);
  t.ok(matchesEvent('*', 'push.ended'));
  t.ok(matchesEvent('push.*', 'push.ended'));
  t.ok(matchesEvent('push.ended', 'push.ended'));
  t.notOk(matchesEvent('push.end', 'push.ended'));
  t.notOk(matchesEvent('stream.*', 'push.ended'));
});
