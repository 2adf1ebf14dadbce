import t from 'tap';
import type { NodeRecord } from '../../../src/cluster/cluster-store.ts';
import { PlacementLedger, rankNodes } from '../../../src/cluster/placement.ts';
import { takeOverAfterMs } from '../../../src/cluster/take-over.ts';
import { randomFrom } from '../../helpers/random.ts';

const node = (id: string, more: Partial<NodeRecord> = {}): NodeRecord => ({
  id,
  instance: 'i',
  url: `http://${id}.example`,
  wsUrl: `ws://${id}.example`,
  region: '',
  group: '',
  state: 'in-service',
  version: '1',
  capacity: 1000,
  publications: 0,
  pushes: 0,
  encoders: 0,
  cpu: 0,
  overloaded: false,
  drain: 'no',
  toMove: 0,
  beat: 0,
  startedAt: 0,
  ...more,
});
const ids = (nodes: readonly NodeRecord[]): string[] => nodes.map(({ id }) => id);
const half = (): number => 0.5;

t.test('the least loaded node in the wished region comes first, then other regions, or none', async (t) => {
  const nodes = [
    node('a', { region: 'eu', publications: 50 }),
    node('b', { region: 'eu', publications: 60, capacity: 2000 }),
    node('c', { region: 'us' }),
    node('busy', { region: 'eu', cpu: 0.95 }),
    node('overloaded', { region: 'eu', overloaded: true }),
    node('draining', { region: 'eu', state: 'draining' }),
    node('full', { region: 'eu', publications: 10, capacity: 10 }),
  ];
  t.strictSame(ids(rankNodes(nodes, { region: 'eu' }, half)), ['b', 'a', 'busy', 'overloaded', 'c']);
  t.strictSame(ids(rankNodes(nodes, { region: 'us', strict: true }, half)), ['c']);
  t.strictSame(ids(rankNodes(nodes, { region: 'mars', strict: true }, half)), []);
  t.strictSame(ids(rankNodes(nodes, { except: new Set(['c', 'b', 'busy', 'overloaded']) }, half)), ['a']);
  t.strictSame(ids(rankNodes([node('x', { group: 'g' }), node('y')], { group: 'g' }, half)), ['x']);
});

t.test('100 nodes and 10,000 streams over three managers: no node more than 10 % above the mean', async (t) => {
  for (const seed of [1, 2, 3]) {
    const random = randomFrom(seed);
    // Every second node has twice the capacity. Each writes its heartbeat at its own moment of the second.
    const nodes = Array.from({ length: 100 }, (_, index) => ({
      record: node(`n${index}`, { capacity: index % 2 ? 400 : 200 }),
      publications: 0,
      phase: Math.floor(random() * 1000),
    }));
    const managers = Array.from({ length: 3 }, () => {
      const ledger = new PlacementLedger();
      ledger.managers = 3;
      return { ledger, view: nodes.map(({ record }) => record), phase: Math.floor(random() * 250) };
    });
    const arrivals: { readonly at: number; readonly id: string }[] = [];
    let placed = 0;
    for (let ms = 0; placed < 10_000; ms++) {
      while (arrivals[0] && arrivals[0].at <= ms) {
        const { id } = arrivals.shift()!;
        nodes.find(({ record }) => record.id === id)!.publications++;
      }
      for (const one of nodes)
        if (ms % 1000 === one.phase)
          one.record = { ...one.record, publications: one.publications, beat: one.record.beat + 1 };
      for (const manager of managers) if (ms % 250 === manager.phase) manager.view = nodes.map(({ record }) => record);
      // 2000 streams in a second; each is at its node after 60 ms.
      for (let stream = 0; stream < 2; stream++, placed++) {
        const { ledger, view } = managers[Math.floor(random() * 3)]!;
        const [best] = rankNodes(ledger.adjust(view), {}, random);
        ledger.placed(best!);
        arrivals.push({ at: ms + 60, id: best!.id });
      }
    }
    for (const { id } of arrivals) nodes.find(({ record }) => record.id === id)!.publications++;
    const shares = nodes.map(({ publications, record }) => publications / record.capacity);
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    t.equal(
      nodes.reduce((sum, { publications }) => sum + publications, 0),
      10_000,
    );
    t.ok(Math.max(...shares) <= 1.1 * mean, `seed ${seed}: ${Math.max(...shares)} above ${mean}`);
  }
});

t.test('streams on their way count for every manager, until the next heartbeat', async (t) => {
  const ledger = new PlacementLedger();
  ledger.managers = 3;
  ledger.placed(node('a', { beat: 5 }));
  ledger.placed(node('a', { beat: 5 }));
  const publications = (beat: number): number => ledger.adjust([node('a', { beat })])[0]!.publications;
  t.equal(publications(5), 6);
  ledger.withdraw('a');
  t.equal(publications(5), 3, 'one was refused');
  t.equal(publications(6), 0);
  ledger.placed(node('a', { beat: 6 }));
  t.equal(publications(0), 0, 'the node was restarted');
});

t.test('each stream has one order of take-over, the same on all nodes, and streams are spread', async (t) => {
  const nodes = ['a', 'b', 'c', 'd'].map((id) => node(id));
  const firsts = new Map<string, number>();
  for (let index = 0; index < 400; index++) {
    const stream = `s${index}`;
    const turns = nodes.map(({ id }) => takeOverAfterMs(stream, nodes, id));
    t.strictSame([...turns].sort(), [3000, 3500, 4000, 4500]);
    const first = nodes[turns.indexOf(3000)]!.id;
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  for (const count of firsts.values()) t.ok(count > 60 && count < 140, String(count));
  const without = [
    node('a', { state: 'draining' }),
    node('b', { overloaded: true }),
    node('c', { publications: 1000 }),
  ];
  for (const { id } of without) t.equal(takeOverAfterMs('s', without, id), undefined);
});
