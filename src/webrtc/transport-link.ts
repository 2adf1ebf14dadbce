import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { LocalTransport } from './sdp-answer.ts';
import { Silence, SILENCE_POLL_MS } from './silence.ts';
import type { IngestWorker } from './worker-pool.ts';

export interface TransportLinkOptions {
  readonly worker: IngestWorker;
  readonly router: types.Router;
  /** The remote side's fingerprint and role, from its offer. */
  readonly dtls: types.DtlsParameters;
  readonly tcpOnly?: boolean;
  /** The offer has a section for data channels. What comes in them is received and dropped. */
  readonly dataChannel?: boolean;
  readonly logger: Logger;
}

export interface TransportLinkEvents {
  /** ICE and DTLS are up. */
  connected: [];
  /** The other side is gone, or did not come in time, or the worker died. At most once; nothing follows. */
  lost: [reason: GatewayError];
}

/**
 * Seconds without a valid ICE check after which the other side is gone (RFC 7675, 5.1). Chromium checks every 2.5 s, but Firefox and libdatachannel, with which OBS
 * publishes, every 4 to 6, as that RFC wants: with mediasoup's least, 10 s, a single check that is lost may be enough.
 */
const ICE_CONSENT_TIMEOUT_S = 30;
/** Milliseconds that a browser has from the answer until ICE and DTLS are up; Chromium gives up after 15 s itself. */
const CONNECT_TIMEOUT_MS = 20_000;

/** A WebRTC transport and its one question: is the other side there? */
export class TransportLink extends EventEmitter<TransportLinkEvents> {
  readonly transport: types.WebRtcTransport;
  readonly #timeout: NodeJS.Timeout;
  #silencePoll: NodeJS.Timeout | undefined;
  #over = false;

  private constructor(transport: types.WebRtcTransport, worker: types.Worker, logger: Logger) {
    super();
    this.transport = transport;
    this.#timeout = setTimeout(() => this.#lose('PUBLISHER_LOST', 'Failed by ICE timeout'), CONNECT_TIMEOUT_MS);
    transport.on('icestatechange', (state) => {
      logger.debug({ state }, 'ICE state');
      if (state === 'disconnected') this.#lose('PUBLISHER_LOST', 'Failed by ICE keep alive');
    });
    transport.on('dtlsstatechange', (state) => {
      logger.debug({ state }, 'DTLS state');
      if (state === 'connected') {
        clearTimeout(this.#timeout);
        this.#listenForSilence();
        this.emit('connected');
      } else if (state === 'failed') this.#lose('PUBLISHER_LOST', 'Failed by DTLS error');
      else if (state === 'closed') this.#lose('PUBLISHER_LOST', 'The other side closed the connection');
    });
    transport.on('routerclose', () => {
      if (worker.died) this.#lose('WORKER_DIED', 'The media worker died');
      else this.#lose('SHUTTING_DOWN', 'The gateway is shutting down');
    });
  }

  static async create({
    worker,
    router,
    dtls,
    tcpOnly = false,
    dataChannel = false,
    logger,
  }: TransportLinkOptions): Promise<TransportLink> {
    const transport = await router.createWebRtcTransport({
      webRtcServer: worker.webRtcServer,
      enableUdp: !tcpOnly,
      enableTcp: true,
      preferUdp: true,
      iceConsentTimeout: ICE_CONSENT_TIMEOUT_S,
      enableSctp: dataChannel,
    });
    const link = new TransportLink(transport, worker.worker, logger);
    try {
      await transport.connect({ dtlsParameters: dtls });
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  get connected(): boolean {
    return !this.#over && this.transport.dtlsState === 'connected';
  }

  /** Our end, for an answer. */
  get local(): LocalTransport {
    const { iceParameters, iceCandidates, dtlsParameters, sctpParameters } = this.transport;
    return { iceParameters, iceCandidates, dtlsParameters, ...(sctpParameters && { sctpParameters }) };
  }

  /** Idempotent; emits nothing. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timeout);
    clearInterval(this.#silencePoll);
    this.transport.close();
  }

  #listenForSilence(): void {
    const silence = new Silence();
    // Asked once more only when it was answered: a worker that hangs has not heard anything either.
    let asking = false;
    this.#silencePoll = setInterval(() => {
      if (asking) return;
      asking = true;
      this.transport
        .getStats()
        .then(
          ([stats]) =>
            stats && silence.poll(stats.bytesReceived) && this.#lose('PUBLISHER_LOST', 'Failed by ICE keep alive'),
          () => undefined, // The transport was closed meanwhile.
        )
        .finally(() => (asking = false));
    }, SILENCE_POLL_MS);
    this.#silencePoll.unref();
  }

  #lose(code: 'PUBLISHER_LOST' | 'WORKER_DIED' | 'SHUTTING_DOWN', what: string): void {
    if (this.#over) return;
    this.close();
    this.emit('lost', new GatewayError(code, what));
  }
}
