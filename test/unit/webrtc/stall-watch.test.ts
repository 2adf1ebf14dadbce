import { EventEmitter } from 'node:events';
import { mock } from 'node:test';
import t from 'tap';
import type { types } from 'mediasoup';
import { watchStalls } from '../../../src/webrtc/stall-watch.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

class FakeProducer {
  closed = false;
  packets = 0;
  readonly observer = new EventEmitter();

  async getStats(): Promise<types.ProducerStat[]> {
    return [{ packetCount: this.packets }] as types.ProducerStat[];
  }
}

t.test('stalls of a producer', async (t) => {
  mock.timers.enable({ apis: ['setInterval', 'Date'] });
  t.teardown(() => mock.timers.reset());
  const producer = new FakeProducer();
  let stalls = 0;
  watchStalls(producer, () => stalls++, Date.now);
  const pass = async (seconds: number, packetsPerSecond = 0): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      producer.packets += packetsPerSecond;
      mock.timers.tick(1000);
      await settled();
    }
  };

  await pass(2);
  t.equal(stalls, 0);
  await pass(1);
  t.equal(stalls, 1, 'a publisher that never sends');
  await pass(10);
  t.equal(stalls, 1, 'once');
  await pass(10, 1);
  t.equal(stalls, 1, 'media flows');
  await pass(2);
  t.equal(stalls, 1);
  await pass(1);
  t.equal(stalls, 2, 'three seconds after the last packet');
  await pass(1, 1);
  producer.closed = true;
  producer.observer.emit('close');
  await pass(10);
  t.equal(stalls, 2, 'nothing after the end');
});
