import t from 'tap';
import { Liveness } from '../../../../src/outputs/push/liveness.ts';

const TIMEOUT = 10_000;

void t.test('a peer without acknowledgements is judged by the bytes passed to the kernel', async (t) => {
  const liveness = new Liveness(TIMEOUT, 0);
  const look = (handed: number, queued: number, now: number): boolean =>
    liveness.update({ handed, queued, acknowledged: undefined, acknowledgementStep: 0 }, now);
  t.notOk(look(1000, 0, 0));
  t.notOk(look(1000, 0, 60_000), 'a pause of the stream is no stall');
  t.notOk(look(5000, 4000, 61_000));
  t.notOk(look(9000, 8000, 69_999));
  t.ok(look(9000, 8000, 70_000));
  t.notOk(look(9000, 7999, 70_001), 'a byte has been taken');
  t.equal(liveness.taken, 1001);
});

void t.test('a peer that acknowledges is judged by its acknowledgements alone', async (t) => {
  const liveness = new Liveness(TIMEOUT, 0);
  const look = (handed: number, acknowledged: number, now: number): boolean =>
    liveness.update({ handed, queued: 0, acknowledged, acknowledgementStep: 1000 }, now);
  t.notOk(look(1500, 1000, 0));
  t.notOk(look(3000, 1000, 50_000), 'it may owe two steps for ever, as a slow stream makes it do');
  t.notOk(look(3001, 1000, 51_000));
  t.ok(look(9000, 1000, 60_000), 'all has left for the kernel, but the peer stands still');
});

void t.test('a first acknowledgement may be far below the bytes passed to the kernel', async (t) => {
  const liveness = new Liveness(TIMEOUT, 0);
  liveness.update({ handed: 5_000_000, queued: 0, acknowledged: undefined, acknowledgementStep: 0 }, 0);
  const look = (acknowledged: number, now: number): boolean =>
    liveness.update({ handed: 6_000_000, queued: 0, acknowledged, acknowledgementStep: 100_000 }, now);
  for (let step = 1; step <= 20; step++) t.notOk(look(step * 100_000, TIMEOUT + step * 5000));
  t.equal(liveness.taken, 5_000_000, 'what was said is not taken back');
});
