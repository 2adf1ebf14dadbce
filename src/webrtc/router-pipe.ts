import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';

/** Both ends are in the same process. */
const LISTEN_INFO = { protocol: 'udp', ip: '127.0.0.1' } as const;

export interface RouterPipeEvents {
  /** A producer that is piped has closed; the pipe itself has not. */
  producerClosed: [];
}

/**
 * Pipes producers of one router into another router of the same worker. mediasoup's own `pipeToRouter` closes each end
 * with the other; when a publisher leaves, it asks the worker to close objects that are closed already, which the
 * worker reports as errors.
 */
export class RouterPipe extends EventEmitter<RouterPipeEvents> {
  readonly #near: types.PipeTransport;
  readonly #far: types.PipeTransport;

  private constructor(near: types.PipeTransport, far: types.PipeTransport) {
    super();
    this.#near = near;
    this.#far = far;
  }

  static async create(from: types.Router, to: types.Router): Promise<RouterPipe> {
    const ends = await Promise.allSettled(
      [from, to].map((router) => router.createPipeTransport({ listenInfo: LISTEN_INFO })),
    );
    const [near, far] = ends.map((end) => (end.status === 'fulfilled' ? end.value : undefined));
    try {
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      await Promise.all([connect(near!, far!), connect(far!, near!)]);
      return new RouterPipe(near!, far!);
    } catch (error) {
      near?.close();
      far?.close();
      throw error;
    }
  }

  /** @returns the producer's copy at the far end */
  async lead(producerId: string): Promise<types.Producer> {
    const consumer = await this.#near.consume({ producerId });
    consumer.once('producerclose', () => this.emit('producerClosed'));
    return this.#far.produce({ kind: consumer.kind, rtpParameters: consumer.rtpParameters });
  }

  /** Idempotent. */
  close(): void {
    this.#near.close();
    this.#far.close();
  }
}

function connect(end: types.PipeTransport, other: types.PipeTransport): Promise<void> {
  return end.connect({ ip: other.tuple.localAddress, port: other.tuple.localPort });
}
