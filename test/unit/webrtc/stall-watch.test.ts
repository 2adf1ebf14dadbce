import { EventEmitter } from 'node:events';
import { mock } from 'node:test';
import t from 'tap';
import type { types } from 'mediasoup';
import { watchStalls } from '../../../src/webrtc/stall-watch.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

class FakeProducer extends EventEmitter {
  score: types.ProducerScore[] = [];
  closed = false;
  packets = 0;
  readonly observer = new EventEmitter();

  setScore(score: number): void {
    this.score = [{ encodingIdx: 0, ssrc: 1, score }];
    this.emit('score');
  }

  async getStats(): Promise<types.ProducerStat[]> {
    return [{ packetCount: this.packets }] as types.ProducerStat[];
  }
}

t.test('stalls of a producer', async (t) => {
  mock.timers.enable({ apis: ['setInterval', 'Date'] });
  t.teardown(() => mock.timers.reset());
  const producer = new FakeProducer();
  let stalls = 0;
  watchStalls(producer, () => stalls++);
  const pass = async (ms: number, packetsPerStep = 0): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      producer.packets += packetsPerStep;
      mock.timers.tick(500);
      await settled();
    }
  };

  await pass(2500);
  t.equal(stalls, 0);
  await pass(500);
  t.equal(stalls, 1, 'a publisher that never sends');
  await pass(10_000);
  t.equal(stalls, 1, 'once');

  producer.packets = 100;
  producer.setScore(10);
  await pass(10_000);
  t.equal(stalls, 1, 'media flows');

  producer.setScore(0);
  await pass(1000);
  t.equal(stalls, 1);
  await pass(500);
  t.equal(stalls, 2, 'three seconds after the last packet');

  producer.setScore(10);
  producer.setScore(0);
  await pass(10_000, 5);
  t.equal(stalls, 2, 'packets that are mostly lost are no stall');

  producer.closed = true;
  producer.observer.emit('close');
  producer.setScore(0);
  await pass(10_000);
  t.equal(stalls, 2, 'nothing after the end');
});
