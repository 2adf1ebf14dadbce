import type { types } from 'mediasoup';
import { inBackground } from '../runtime/in-background.ts';

/** Milliseconds without a packet after which a track has stalled. */
const STALL_MS = 3000;
/** Milliseconds between two counts of packets. mediasoup's score does not show a stall: it stays as it is when nothing arrives. */
const POLL_MS = 1000;

export type WatchedProducer = Pick<types.Producer, 'closed' | 'getStats'> & {
  readonly observer: { once(event: 'close', listener: () => void): unknown };
};

/** Calls `onStall` once for each time in which the producer receives no packets. Ends with the producer. */
export function watchStalls(producer: WatchedProducer, onStall: () => void, now = () => performance.now()): void {
  let packets = 0;
  let sinceMs = now();
  let stalled = false;

  const poll = async (): Promise<void> => {
    const stats = await producer.getStats().catch(() => undefined); // The producer was closed meanwhile.
    if (!stats || producer.closed) return;
    const received = stats.reduce((sum, { packetCount }) => sum + packetCount, 0);
    if (received !== packets) {
      packets = received;
      sinceMs = now();
      stalled = false;
    } else if (!stalled && now() - sinceMs >= STALL_MS) {
      stalled = true;
      onStall();
    }
  };
  const timer = setInterval(() => inBackground(poll()), POLL_MS).unref();
  producer.observer.once('close', () => clearInterval(timer));
}
