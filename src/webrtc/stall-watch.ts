import type { types } from 'mediasoup';

/** Milliseconds without a packet after which a track has stalled. */
const STALL_MS = 3000;
/** mediasoup's score becomes 0 after this time without a packet (`RtpStreamRecv`, `InactivityCheckInterval`), or when most packets are lost. */
const SCORE_DELAY_MS = 1500;
/** Milliseconds between two counts of packets. Packets are counted only while the score is 0 or unknown. */
const POLL_MS = 500;

type WatchedProducer = Pick<types.Producer, 'score' | 'closed' | 'getStats'> & {
  on(event: 'score', listener: () => void): unknown;
  readonly observer: { once(event: 'close', listener: () => void): unknown };
};

/** Calls `onStall` once for each time in which the producer receives no packets. Ends with the producer. */
export function watchStalls(producer: WatchedProducer, onStall: () => void, now = Date.now): void {
  let timer: NodeJS.Timeout | undefined;
  /** At the last count; `undefined` before the first. */
  let packets: number | undefined;
  let sinceMs = now();
  let stalled = false;

  const stop = (): void => {
    clearInterval(timer);
    timer = undefined;
  };
  const poll = async (): Promise<void> => {
    const stats = await producer.getStats().catch(() => undefined); // The producer was closed meanwhile.
    if (!stats || !timer || producer.closed) return;
    const received = stats.reduce((sum, { packetCount }) => sum + packetCount, 0);
    if (packets !== undefined && received !== packets) {
      sinceMs = now();
      stalled = false;
    } else if (!stalled && now() - sinceMs >= STALL_MS) {
      stalled = true;
      onStall();
    }
    packets = received;
  };
  const update = (delayMs: number): void => {
    if (producer.score.some(({ score }) => score > 0)) {
      stop();
      stalled = false;
    } else if (!timer && !producer.closed) {
      packets = undefined;
      sinceMs = now() - delayMs;
      timer = setInterval(() => void poll(), POLL_MS).unref();
    }
  };
  producer.on('score', () => update(SCORE_DELAY_MS));
  producer.observer.once('close', stop);
  update(0);
}
