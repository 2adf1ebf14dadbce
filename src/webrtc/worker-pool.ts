import * as mediasoup from 'mediasoup';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { FastPaths } from '../runtime/fast-paths.ts';
import type { WorkerLoad } from '../runtime/overload-state.ts';
import { withoutSignalHandlers } from '../runtime/signal-handlers.ts';
import { captureSpawn } from '../runtime/spawn-capture.ts';
import { WorkerChannel } from '../runtime/worker-channel.ts';
import { INGEST_CODECS } from './codecs.ts';
import type { MediaAddress } from './media-addresses.ts';
import { PendingSessions, type PendingSessionLimits } from './pending-sessions.ts';
import { checkChannel, sendsCongestionFeedback } from './worker-checks.ts';
import { workerDied } from './worker-failure.ts';
import { takeUnknownPacket, UnknownPackets } from './unknown-packets.ts';
import { openWebRtcServer, usableAddresses } from './worker-listener.ts';
import { WorkerProbe } from './worker-probe.ts';
import { inBackground } from '../runtime/in-background.ts';
import { backoffMs } from '../runtime/async.ts';

export interface WorkerPoolOptions {
  /** The number of mediasoup workers; each uses one core at most. */
  readonly workers: number;
  /** UDP and TCP port of the first worker; each of the others uses the next one. 0: any free ports (for tests). */
  readonly rtcPort: number;
  /** Called for each worker that is started: the addresses of a laptop change. */
  readonly addresses: () => readonly MediaAddress[];
  /** `media_batch_ms`. Default: 0. */
  readonly batchMs?: number;
  /** Default: all of them are tried. */
  readonly fastPaths?: FastPaths;
  readonly pendingSessions?: PendingSessionLimits;
  readonly logger: Logger;
}

/** One mediasoup worker with what all sessions on it share. */
export interface IngestWorker {
  readonly worker: types.Worker;
  /** The fast path of packets; without it they arrive as events of mediasoup. */
  readonly channel: WorkerChannel | undefined;
  readonly probe: WorkerProbe;
  readonly unknownPackets: UnknownPackets;
  readonly webRtcServer: types.WebRtcServer;
  /** The router of the publishers' producers. */
  readonly router: types.Router;
  /** Passes packets of the router's producers to this process. */
  readonly directTransport: types.DirectTransport;
  /** Whether this build of the worker sends transport-cc feedback. */
  readonly congestionFeedback: boolean;
  /** Sessions of all workers that are not connected yet. */
  readonly pending: PendingSessions;
  /** The present number of WebRTC transports; kept by mediasoup's own events. */
  sessions: number;
}

const DEFAULT_PENDING_SESSIONS: PendingSessionLimits = { perClient: 20, total: 100 };
/** The deaths of a worker that has lived this long do not count for the next restart. Milliseconds. */
const STEADY_MS = 60_000;
/** Milliseconds that a worker has to exit when it is asked to; it takes about ten, unless it hangs. */
const CLOSE_GRACE_MS = 2000;

/**
 * Milliseconds to wait before a worker is restarted after its `deaths`-th death in a row: 100 ms at first, 10 s at
 * most.
 */
export function respawnDelayMs(deaths: number): number {
  return backoffMs({ intervalMs: 100, capMs: 10_000 }, Math.max(0, deaths - 1));
}

/** The mediasoup workers. When one dies, only its own sessions end, and another one takes its place. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #fastPaths: FastPaths;
  readonly #pending: PendingSessions;
  readonly #slots: (IngestWorker | undefined)[];
  readonly #deaths: number[];
  readonly #respawns = new Set<NodeJS.Timeout>();
  readonly #exits = new Set<Promise<void>>();
  /** Late packets that workers which are gone had dropped. */
  #latePackets = 0;
  /** Frames that were not read from workers that have ended. */
  #missedFrames = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#fastPaths = options.fastPaths ?? new FastPaths({ enabled: true, logger: options.logger });
    this.#pending = new PendingSessions(options.pendingSessions ?? DEFAULT_PENDING_SESSIONS);
    this.#slots = new Array<undefined>(options.workers).fill(undefined);
    this.#deaths = new Array<number>(options.workers).fill(0);
  }

  /**
   * @throws {GatewayError} SETTINGS_INVALID when the port is in use or the address is not of this machine,
   * SETUP_INCOMPLETE when no worker can be run
   */
  static async create(options: WorkerPoolOptions): Promise<WorkerPool> {
    forwardMediasoupLog(options.logger);
    const pool = new WorkerPool(options);
    // Waits for all, so that a failure leaves none behind that is still starting.
    const starts = await Promise.allSettled(pool.#slots.map((_, index) => pool.#start(index)));
    const failed = starts.find((start) => start.status === 'rejected');
    if (!failed) return pool;
    await pool.close();
    throw failed.reason;
  }

  /** The load of the workers that are alive. */
  get loads(): WorkerLoad[] {
    return this.#slots.flatMap((slot) => (slot ? [slot.probe.load] : []));
  }

  /** Video packets that were dropped because the gateway read them too late. */
  get latePackets(): number {
    return this.#slots.reduce((sum, slot) => sum + (slot?.probe.dropped ?? 0), this.#latePackets);
  }

  /** Video frames that were not taken from the workers because the gateway did not keep up. */
  get missedFrames(): number {
    return this.#slots.reduce((sum, slot) => sum + (slot?.probe.gate.missedFrames ?? 0), this.#missedFrames);
  }

  /** Video tracks that are paused because the gateway does not keep up. */
  get pausedTracks(): number {
    return this.#slots.reduce((sum, slot) => sum + (slot?.probe.gate.paused ?? 0), 0);
  }

  /** Sessions that are not connected yet. */
  get pendingSessions(): number {
    return this.#pending.size;
  }

  /** The process ids of the workers that are alive. */
  get pids(): number[] {
    return this.#slots.flatMap((slot) => (slot ? [slot.worker.pid] : []));
  }

  /** Whether there are workers, and all of them answer within the time. */
  async answers(timeoutMs: number): Promise<boolean> {
    const alive = this.#slots.filter((slot) => slot !== undefined);
    if (alive.length === 0) return false;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, false);
    });
    const answers = Promise.all(alive.map(({ worker }) => worker.getResourceUsage())).then(
      () => true,
      // One has died, and another one takes its place.
      () => true,
    );
    const answered = await Promise.race([answers, timeout]);
    clearTimeout(timer);
    return answered;
  }

  /**
   * The worker with the fewest sessions.
   *
   * @throws {GatewayError} WORKER_DIED while none is alive, SHUTTING_DOWN after {@link close}
   */
  pick(): IngestWorker {
    if (this.#closing) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down.');
    const alive = this.#slots.filter((slot) => slot !== undefined);
    if (alive.length === 0) throw workerDied();
    return alive.reduce((least, slot) => (slot.sessions < least.sessions ? slot : least));
  }

  /** Ends the workers and waits for the end of their processes. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const timer of this.#respawns) clearTimeout(timer);
    const { pids } = this;
    for (const slot of this.#slots) {
      slot?.probe.close();
      slot?.worker.close();
    }
    this.#slots.fill(undefined);
    const impatience = setTimeout(() => pids.forEach(kill), CLOSE_GRACE_MS);
    await Promise.all(this.#exits);
    clearTimeout(impatience);
  }

  async #start(index: number): Promise<void> {
    const { addresses: wanted, logger } = this.#options;
    const addresses = await usableAddresses(wanted(), this.#port(index), logger);
    const slot = await this.#launch(index, addresses, this.#fastPaths.enabled);
    if (this.#closing) {
      slot.probe.close();
      return slot.worker.close();
    }
    this.#slots[index] = slot;
    const { worker, probe } = slot;
    const startedAt = performance.now();
    worker.once('died', (error) => {
      logger.error(
        { pid: worker.pid, err: error },
        'media worker died: its sessions end, and another worker takes its place',
      );
      probe.close();
      this.#latePackets += probe.dropped;
      this.#missedFrames += probe.gate.missedFrames;
      this.#slots[index] = undefined;
      if (performance.now() - startedAt > STEADY_MS) this.#deaths[index] = 0;
      this.#respawn(index);
    });
  }

  /**
   * @param fast whether to read the worker's pipe directly; when its check fails, another worker is launched without
   */
  async #launch(index: number, addresses: readonly MediaAddress[], fast: boolean): Promise<IngestWorker> {
    const { logger, batchMs = 0 } = this.#options;
    const { result: worker, child } = fast
      ? await captureSpawn(spawnWorker)
      : { result: await spawnWorker(), child: undefined };
    const exited = new Promise<void>((resolve) => worker.once('subprocessclose', resolve));
    this.#exits.add(exited);
    inBackground(exited.then(() => this.#exits.delete(exited)));
    try {
      let channel: WorkerChannel | undefined;
      if (fast) {
        const attached = WorkerChannel.attach(child, worker.pid, { batchMs, fastPaths: this.#fastPaths, logger });
        if (typeof attached === 'string') this.#fastPaths.fallBack('worker_pipe', attached);
        else {
          channel = attached;
          this.#fastPaths.activate('worker_pipe');
        }
      }
      if (channel) {
        const failure = await checkChannel(worker, channel);
        if (failure !== undefined) {
          this.#fastPaths.fallBack('worker_channel', failure);
          worker.close();
          return await this.#launch(index, addresses, false);
        }
        this.#fastPaths.activate('worker_channel');
      }
      const webRtcServer = await openWebRtcServer(worker, addresses, this.#port(index));
      const router = await worker.createRouter({ mediaCodecs: INGEST_CODECS });
      const directTransport = await router.createDirectTransport();
      const congestionFeedback = await sendsCongestionFeedback(router);
      const slot: IngestWorker = {
        worker,
        channel,
        // Nothing may be awaited in here: the probe looks at the slot.
        probe: new WorkerProbe({ worker, isBusy: () => slot.sessions > 0, logger }),
        unknownPackets: new UnknownPackets(worker),
        webRtcServer,
        router,
        directTransport,
        congestionFeedback,
        pending: this.#pending,
        sessions: 0,
      };
      webRtcServer.observer.on('webrtctransporthandled', () => slot.sessions++);
      webRtcServer.observer.on('webrtctransportunhandled', () => slot.sessions--);
      return slot;
    } catch (error) {
      worker.close();
      throw error;
    }
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

  #port(index: number): number {
    const { rtcPort } = this.#options;
    return rtcPort === 0 ? 0 : rtcPort + index;
  }
}

async function spawnWorker(): Promise<types.Worker> {
  try {
    return await withoutSignalHandlers(() => mediasoup.createWorker({ logLevel: 'warn' }));
  } catch (error) {
    throw new GatewayError(
      'SETUP_INCOMPLETE',
      `mediasoup's worker does not run (${error instanceof Error ? error.message : String(error)}). Run the ` +
        'set-up again, or set MEDIASOUP_WORKER_BIN to a working binary.',
      { cause: error },
    );
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

function forwardMediasoupLog(logger: Logger): void {
  mediasoup.setLogEventListeners({
    onwarn: (namespace, log) => {
      if (!takeUnknownPacket(log)) logger.warn({ namespace }, log);
    },
    onerror: (namespace, log, error) => logger.error({ namespace, err: error }, log),
  });
}
