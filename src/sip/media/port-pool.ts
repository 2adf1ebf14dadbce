import { createSocket, type Socket } from 'node:dgram';
import { limitReached } from '../../observe/limits.ts';
import { Timer, type Clock } from '../../runtime/clock.ts';

/** Two bound sockets: RTP on an even port, RTCP on the next one. They have listeners of `error`. */
export interface PortPair {
  readonly port: number;
  readonly rtp: Socket;
  readonly rtcp: Socket;
  /** Gives the ports back. They stay bound for a while. Idempotent. */
  release(): void;
}

export interface PortPoolOptions {
  /** Bound. */
  readonly address: string;
  readonly from: number;
  readonly to: number;
  readonly clock: Clock;
  readonly random?: () => number;
}

/** Milliseconds for which released ports stay bound: late packets of a call must not hit the next one. */
export const DRAIN_MS = 30_000;
/** A burst of packets of a large key frame. */
const RECEIVE_BUFFER = 512 * 1024;

/** The ports of `media_port_from` to `media_port_to`. */
export class PortPool {
  readonly #options: PortPoolOptions;
  readonly #first: number;
  readonly #pairs: number;
  readonly #used = new Map<number, () => void>();
  #next: number;
  #closed = false;

  constructor(options: PortPoolOptions) {
    this.#options = options;
    this.#first = options.from + (options.from % 2);
    this.#pairs = Math.max(0, Math.floor((options.to - this.#first + 1) / 2));
    this.#next = Math.floor((options.random ?? Math.random)() * this.#pairs);
  }

  /** Ports that are bound, those that are drained included. */
  get size(): number {
    return this.#used.size * 2;
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  async open(): Promise<PortPair> {
    for (let tried = 0; tried < this.#pairs && !this.#closed; tried++) {
      const port = this.#first + 2 * this.#next;
      this.#next = (this.#next + 1) % this.#pairs;
      if (this.#used.has(port)) continue;
      this.#used.set(port, () => undefined);
      const sockets = await bindPair(this.#options.address, port);
      if (sockets) return this.#lend(port, sockets);
      this.#used.delete(port);
    }
    throw limitReached(
      'media_port_to',
      `No port for the media of a call is free from media_port_from (${this.#options.from}) to media_port_to ` +
        `(${this.#options.to}). Try again, or widen the range.`,
    );
  }

  /** Closes all sockets. */
  close(): void {
    this.#closed = true;
    for (const close of [...this.#used.values()]) close();
  }

  #lend(port: number, [rtp, rtcp]: readonly [Socket, Socket]): PortPair {
    const timer = new Timer(this.#options.clock);
    const close = (): void => {
      if (!this.#used.delete(port)) return;
      timer.clear();
      rtp.close();
      rtcp.close();
    };
    this.#used.set(port, close);
    if (this.#closed) close();
    let isReleased = false;
    const release = (): void => {
      if (isReleased || this.#closed) return;
      isReleased = true;
      for (const socket of [rtp, rtcp]) socket.removeAllListeners('message').on('message', () => undefined);
      timer.set(DRAIN_MS, close);
    };
    return { port, rtp, rtcp, release };
  }
}

async function bindPair(address: string, port: number): Promise<readonly [Socket, Socket] | undefined> {
  const sockets = [newSocket(), newSocket()] as const;
  try {
    await Promise.all(sockets.map((socket, index) => bind(socket, address, port + index)));
    return sockets;
  } catch {
    for (const socket of sockets) socket.close();
    return undefined;
  }
}

const newSocket = (): Socket => createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER });

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays: an error without a listener would end the process.
    socket.on('error', reject);
    socket.bind(port, address, resolve);
  });
}
