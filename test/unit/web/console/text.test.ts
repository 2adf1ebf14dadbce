import t from 'tap';
import { awayText, byteCount, rightsText, visible } from '../../../../src/web/console/text.js';

t.test('invisible characters are escaped', async (t) => {
  t.equal(visible('Stream “é” 直播 🎥 busy'), 'Stream “é” 直播 🎥 busy');
  t.equal(
    visible('a\u202Eb\u200Bc\u0000d\u00A0e\u2028f\u{E0041}g'),
    'a\\u{202e}b\\u{200b}c\\u{0}d\\u{a0}e\\u{2028}f\\u{e0041}g',
  );
});

t.test('how long a publisher is waited for', async (t) => {
  const [since, until] = ['2026-01-02T03:04:05Z', '2026-01-02T03:04:20Z'];
  const clock = (time: string): string => new Date(time).toLocaleTimeString();
  t.equal(
    awayText({ since, until }),
    `Publisher away since ${clock(since)}. The gateway waits for it until ${clock(until)}.`,
  );
});

t.test('sizes', async (t) => {
  t.same([999, 1_500_000, 2_000_000_000].map(byteCount), ['1 kB', '1.5 MB', '2.00 GB']);
});

t.test('rights', async (t) => {
  t.equal(
    rightsText({ id: 'jwt:alice', actions: ['publish', 'push'], streams: ['cam1', 'a-*'], destinations: [] }),
    'You are jwt:alice. Allowed: publish, push; streams: cam1, a-*; destinations: none',
  );
  t.equal(rightsText({ id: 'x', actions: [] }), 'You are x. Allowed: nothing; streams: all');
  t.match(rightsText({ id: 'x', actions: ['read'], expiresAt: '2026-01-01T00:00:00.000Z' }), /; until .*\d/);
});
