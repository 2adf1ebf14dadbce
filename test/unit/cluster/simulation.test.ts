import t from 'tap';
import { simulateCluster } from '../../helpers/simulate-cluster.ts';

t.setTimeout(300_000);

t.test('1,000 random faults: no name with two owners, no key without expiry, no push lost', async (t) => {
  const seed = Number(process.env['SIMULATION_SEED'] ?? 29);
  const { faults, violations, summary } = await simulateCluster({ seed, nodes: 5, streams: 24 }, 1000);
  t.equal(faults, 1000);
  t.strictSame(violations, [], JSON.stringify(summary));
  t.ok(summary.takenOver > 50, `pushes were taken over: ${JSON.stringify(summary)}`);
  t.ok(summary.fenced > 10, `owners were fenced: ${JSON.stringify(summary)}`);
  t.ok(summary.refusedAsInUse > 10, `names were refused: ${JSON.stringify(summary)}`);
  t.ok(summary.moved > 50, `streams moved: ${JSON.stringify(summary)}`);
  t.ok(summary.gaveUp > 10, `streams of hanging nodes were given up: ${JSON.stringify(summary)}`);
  t.ok(summary.graceOver > 0, `the grace time was exceeded: ${JSON.stringify(summary)}`);
  t.comment(JSON.stringify(summary));
});

t.test('the same seed gives the same run', async (t) => {
  const run = () => simulateCluster({ seed: 7, nodes: 3, streams: 6 }, 40);
  t.strictSame(await run(), await run());
});

t.test('the checks find a directory without fencing', async (t) => {
  const { violations } = await simulateCluster({ seed: 29, nodes: 5, streams: 24, withoutFencing: true }, 150);
  t.match(violations[0], /owned by/);
});
