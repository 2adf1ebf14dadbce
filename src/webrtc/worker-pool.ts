import * as mediasoup from 'mediasoup';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { Pacer } from '../runtime/pacer.ts';
import { INGEST_CODECS } from './codecs.ts';
import type { MediaAddress } from './media-addresses.ts';
import { WorkerChannel } from '../runtime/worker-channel.ts';
import { workerDied } from './worker-failure.ts';

export interface WorkerPoolOptions {
  /** How many mediasoup workers; each takes one core at most. */
  readonly workers: number;
  /** UDP and TCP port of the first worker; the next ones take the ports after it. 0: any free ports (for tests). */
  readonly rtcPort: number;
  /** Asked anew for each worker that is started: a laptop has another address in another place. */
  readonly addresses: () => readonly MediaAddress[];
  /** Told of the packets of all workers. */
  readonly pacer: Pacer;
  readonly logger: Logger;
}

/** One mediasoup worker with what every session on it shares. */
export interface IngestWorker {
  readonly worker: types.Worker;
  /** The short way for packets; where there is none, they come as mediasoup's events. */
  readonly channel: WorkerChannel | undefined;
  readonly webRtcServer: types.WebRtcServer;
  /** Where publishers produce. */
  readonly router: types.Router;
  /** Hands packets of the router's producers to this process. */
  readonly directTransport: types.DirectTransport;
  /** Whether this build of the worker tells senders when their packets arrived (transport-cc). */
  readonly congestionFeedback: boolean;
  /** WebRTC transports at the moment; kept by mediasoup's own events. */
  sessions: number;
}

/** A worker that lives at least so long was started well: the next death starts counting anew. Milliseconds. */
const STEADY_MS = 60_000;
/**
 * Asked of the kernel for the media socket, in bytes; it grants what `net.core.rmem_max` allows. One socket serves all publishers,
 * and a 4K key frame alone is several hundred kilobytes in one burst.
 */
const UDP_RECEIVE_BUFFER = 4 * 1024 * 1024;

/** Milliseconds that a worker has to exit when it is told to; it takes about ten, unless it hangs. */
const CLOSE_GRACE_MS = 2000;

/** Milliseconds to wait before a worker is started for the `deaths`-th time in a row: 100 ms at first, 10 s at most. */
export function respawnDelayMs(deaths: number): number {
  return Math.min(10_000, 100 * 2 ** Math.max(0, deaths - 1));
}

/** The mediasoup workers. One that dies takes its own sessions along and nothing else; another takes its place. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #slots: (IngestWorker | undefined)[];
  readonly #deaths: number[];
  readonly #respawns = new Set<NodeJS.Timeout>();
  readonly #exits = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  private constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#slots = new Array<undefined>(options.workers).fill(undefined);
    this.#deaths = new Array<number>(options.workers).fill(0);
  }

  /** @throws {GatewayError} SETTINGS_INVALID when the port is taken or the address is not ours, SETUP_INCOMPLETE when there is no worker to run */
  static async create(options: WorkerPoolOptions): Promise<WorkerPool> {
    forwardMediasoupLog(options.logger);
    const pool = new WorkerPool(options);
    // All are waited for, so that a failure leaves none behind that is still starting.
    const starts = await Promise.allSettled(pool.#slots.map((_, index) => pool.#start(index)));
    const failed = starts.find((start) => start.status === 'rejected');
    if (!failed) return pool;
    await pool.close();
    throw failed.reason;
  }

  /** The process ids of the workers that live. */
  get pids(): number[] {
    return this.#slots.flatMap((slot) => (slot ? [slot.worker.pid] : []));
  }

  /**
   * The worker with the fewest sessions.
   *
   * @throws {GatewayError} WORKER_DIED while none lives, SHUTTING_DOWN after {@link close}
   */
  pick(): IngestWorker {
    if (this.#closing) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    const alive = this.#slots.filter((slot) => slot !== undefined);
    if (alive.length === 0) throw workerDied();
    return alive.reduce((least, slot) => (slot.sessions < least.sessions ? slot : least));
  }

  /** Ends the workers and waits until their processes are gone. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const timer of this.#respawns) clearTimeout(timer);
    const { pids } = this;
    for (const slot of this.#slots) slot?.worker.close();
    this.#slots.fill(undefined);
    const impatience = setTimeout(() => pids.forEach(kill), CLOSE_GRACE_MS);
    await Promise.all(this.#exits);
    clearTimeout(impatience);
  }

  async #start(index: number): Promise<void> {
    const { worker, channel } = await WorkerChannel.capture(spawnWorker, this.#options.pacer);
    const exited = new Promise<void>((resolve) => worker.once('subprocessclose', resolve));
    this.#exits.add(exited);
    void exited.then(() => this.#exits.delete(exited));
    try {
      const webRtcServer = await this.#listen(worker, index);
      const router = await worker.createRouter({ mediaCodecs: INGEST_CODECS });
      const directTransport = await router.createDirectTransport();
      const congestionFeedback = await sendsCongestionFeedback(router);
      const slot: IngestWorker = {
        worker,
        channel,
        webRtcServer,
        router,
        directTransport,
        congestionFeedback,
        sessions: 0,
      };
      webRtcServer.observer.on('webrtctransporthandled', () => slot.sessions++);
      webRtcServer.observer.on('webrtctransportunhandled', () => slot.sessions--);
      this.#slots[index] = slot;
    } catch (error) {
      worker.close();
      throw error;
    }
    if (this.#closing) return worker.close();

    const startedAt = performance.now();
    worker.once('died', (error) => {
      this.#options.logger.error(
        { pid: worker.pid, err: error },
        'media worker died; its sessions end and another takes its place',
      );
      this.#slots[index] = undefined;
      if (performance.now() - startedAt > STEADY_MS) this.#deaths[index] = 0;
      this.#respawn(index);
    });
  }

  #respawn(index: number): void {
    if (this.#closing) return;
    const deaths = (this.#deaths[index] ?? 0) + 1;
    this.#deaths[index] = deaths;
    const timer = setTimeout(() => {
      this.#respawns.delete(timer);
      this.#start(index).then(
        () => this.#options.logger.info({ pid: this.#slots[index]?.worker.pid }, 'media worker restarted'),
        (error: unknown) => {
          this.#options.logger.error({ err: error }, 'media worker could not be restarted');
          this.#respawn(index);
        },
      );
    }, respawnDelayMs(deaths));
    this.#respawns.add(timer);
  }

  async #listen(worker: types.Worker, index: number): Promise<types.WebRtcServer> {
    const { rtcPort, logger } = this.#options;
    const port = rtcPort === 0 ? 0 : rtcPort + index;
    const addresses = this.#options.addresses();
    const needed = addresses.filter(({ isExtra }) => !isExtra);
    if (needed.length < addresses.length) {
      try {
        return await worker.createWebRtcServer({ listenInfos: listenInfos(addresses, port) });
      } catch (error) {
        logger.warn(
          { reason: listenFailure(error, addresses.map(({ ip }) => ip).join(', '), port) },
          'Firefox on this machine will not be able to publish, for it sends nothing to loopback',
        );
      }
    }
    try {
      return await worker.createWebRtcServer({ listenInfos: listenInfos(needed, port) });
    } catch (error) {
      throw new GatewayError('SETTINGS_INVALID', listenFailure(error, needed.map(({ ip }) => ip).join(', '), port), {
        cause: error,
      });
    }
  }
}

function listenInfos(addresses: readonly MediaAddress[], port: number): types.TransportListenInfo[] {
  return addresses.flatMap(({ ip, announced, isExtra }) => {
    const place = { ip, port, ...(announced !== undefined && { announcedAddress: announced }) };
    const udp = { ...place, protocol: 'udp', recvBufferSize: UDP_RECEIVE_BUFFER } as const;
    return isExtra ? [udp] : [udp, { ...place, protocol: 'tcp' } as const];
  });
}

async function spawnWorker(): Promise<types.Worker> {
  try {
    return await mediasoup.createWorker({ logLevel: 'warn' });
  } catch (error) {
    throw new GatewayError(
      'SETUP_INCOMPLETE',
      `mediasoup's worker does not run (${error instanceof Error ? error.message : String(error)}). Run the set-up again, or name a working binary in MEDIASOUP_WORKER_BIN.`,
      { cause: error },
    );
  }
}

/**
 * A worker that was built without libwebrtc (`ms_use_builtin_bwe`) sends neither transport-cc feedback nor REMB, and says so
 * nowhere; but only one that does has an incoming bitrate to report once a producer has negotiated it.
 */
async function sendsCongestionFeedback(router: types.Router): Promise<boolean> {
  const transport = await router.createDirectTransport();
  try {
    await transport.produce({
      kind: 'audio',
      rtpParameters: {
        codecs: [
          {
            mimeType: 'audio/opus',
            payloadType: 111,
            clockRate: 48000,
            channels: 2,
            rtcpFeedback: [{ type: 'transport-cc', parameter: '' }],
          },
        ],
        headerExtensions: [{ uri: 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01', id: 1 }],
        encodings: [{ ssrc: 1 }],
      },
    });
    const [stats] = await transport.getStats();
    return stats?.availableIncomingBitrate !== undefined;
  } finally {
    transport.close();
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function listenFailure(error: unknown, ip: string, port: number): string {
  const detail = error instanceof Error ? error.message : String(error);
  if (/address already in use|EADDRINUSE/i.test(detail))
    return `rtc_port ${port} is in use on ${ip}: another program, or another gateway, has it as UDP or TCP. Stop that one, or set rtc_port to a free port.`;
  if (/not available|EADDRNOTAVAIL/i.test(detail))
    return `ip_local ${ip} is not an address of this machine. Set ip_local to one that is, or to 0.0.0.0.`;
  return `WebRTC media cannot listen on ${ip}, port ${port}: ${detail}. Check ip_local and rtc_port.`;
}

function forwardMediasoupLog(logger: Logger): void {
  mediasoup.setLogEventListeners({
    onwarn: (namespace, log) => logger.warn({ namespace }, log),
    onerror: (namespace, log, error) => logger.error({ namespace, err: error }, log),
  });
}
