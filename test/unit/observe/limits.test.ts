import t from 'tap';
import { LimitHits, limitHits, limitReached, logLimits } from '../../../src/observe/limits.ts';
import type { Logger } from '../../../src/observe/logger.ts';

t.test('a refusal is counted under its setting', async (t) => {
  const before = limitHits.counts.get('max_encoders') ?? 0;
  t.match(limitReached('max_encoders', 'Later.'), { code: 'LIMIT_REACHED', message: 'Later.', retryable: true });
  t.equal(limitHits.counts.get('max_encoders'), before + 1);
});

t.test('each limit is logged at most once a minute', async (t) => {
  const hits = new LimitHits();
  const lines: unknown[] = [];
  let now = 0;
  const stop = logLimits(hits, { warn: (fields: unknown) => lines.push(fields) } as unknown as Logger, () => now);
  for (let count = 0; count < 3; count++) hits.count('max_players');
  hits.count('max_streams');
  now = 59_999;
  hits.count('max_players');
  t.strictSame(lines.splice(0), [
    { limit: 'max_players', total: 1 },
    { limit: 'max_streams', total: 1 },
  ]);
  now = 60_000;
  hits.count('max_players');
  t.strictSame(lines.splice(0), [{ limit: 'max_players', total: 5 }]);
  stop();
  now = 200_000;
  hits.count('max_players');
  t.strictSame(lines, []);
});
