import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { LocalTransport } from './sdp-answer.ts';
import { DATA_SEND_BUFFER_BYTES, MAX_DATA_MESSAGE_BYTES } from './data-link.ts';
import type { IngestWorker } from './worker-pool.ts';

export interface TransportLinkOptions {
  readonly worker: IngestWorker;
  readonly router: types.Router;
  /** The client's fingerprint and role, from its offer. */
  readonly dtls: types.DtlsParameters;
  /** IP address of the client, for the limit of sessions that are not connected. */
  readonly clientAddress?: string;
  readonly tcpOnly?: boolean;
  /** The offer has a section for data channels. Without a `DataLink` their messages are received and dropped. */
  readonly dataChannel?: boolean;
  readonly logger: Logger;
}

export interface TransportLinkEvents {
  /** ICE and DTLS are up. */
  connected: [];
  /** The client is gone, or did not connect in time, or the worker died. At most once; nothing follows. */
  lost: [reason: GatewayError];
}

/**
 * Seconds without a valid ICE check after which the client is gone, whatever media it sends or does not send. Chromium
 * checks every 2.5 s, but Firefox and libdatachannel (used by OBS) every 4 to 6 s (RFC 7675, 5.1): at least four checks in
 * a row have to be lost. With mediasoup's minimum of 10 s a single one can be enough.
 */
const ICE_CONSENT_TIMEOUT_S = 25;
/** Milliseconds from the answer until ICE and DTLS have to be up; Chromium gives up after 15 s itself. */
const CONNECT_TIMEOUT_MS = 20_000;
/**
 * Milliseconds from the answer until the first ICE check: clients check at once, and an offer without a client should
 * not hold its resources.
 */
const FIRST_CHECK_TIMEOUT_MS = 5000;

/** A WebRTC transport, and whether its client is present. */
export class TransportLink extends EventEmitter<TransportLinkEvents> {
  readonly transport: types.WebRtcTransport;
  readonly #timeouts: readonly NodeJS.Timeout[];
  /** Frees the slot of a session that is not connected. */
  readonly #settled: () => void;
  #over = false;

  private constructor(transport: types.WebRtcTransport, worker: types.Worker, settled: () => void, logger: Logger) {
    super();
    this.transport = transport;
    this.#settled = settled;
    const giveUp = (): void => this.#lose('PUBLISHER_LOST', 'Failed by ICE timeout');
    this.#timeouts = [
      setTimeout(() => transport.iceState === 'new' && giveUp(), FIRST_CHECK_TIMEOUT_MS),
      setTimeout(giveUp, CONNECT_TIMEOUT_MS),
    ];
    transport.on('icestatechange', (state) => {
      logger.debug({ state }, 'ICE state');
      if (state === 'disconnected') this.#lose('PUBLISHER_LOST', 'Failed by ICE keep alive');
    });
    transport.on('dtlsstatechange', (state) => {
      logger.debug({ state }, 'DTLS state');
      if (state === 'connected') {
        this.#settle();
        this.emit('connected');
      } else if (state === 'failed') this.#lose('PUBLISHER_LOST', 'Failed by DTLS error');
      else if (state === 'closed') this.#lose('PUBLISHER_LOST', 'The other side closed the connection');
    });
    transport.on('routerclose', () => {
      if (worker.died) this.#lose('WORKER_DIED', 'The media worker died');
      else this.#lose('SHUTTING_DOWN', 'The gateway is shutting down');
    });
  }

  /** @throws {GatewayError} LIMIT_REACHED when too many sessions are not connected yet */
  static async create({
    worker,
    router,
    dtls,
    clientAddress,
    tcpOnly = false,
    dataChannel = false,
    logger,
  }: TransportLinkOptions): Promise<TransportLink> {
    const settled = worker.pending.enter(clientAddress);
    let link: TransportLink;
    try {
      const transport = await router.createWebRtcTransport({
        webRtcServer: worker.webRtcServer,
        enableUdp: !tcpOnly,
        enableTcp: true,
        preferUdp: true,
        iceConsentTimeout: ICE_CONSENT_TIMEOUT_S,
        enableSctp: dataChannel,
        maxReceiveMessageSize: MAX_DATA_MESSAGE_BYTES,
        sctpSendBufferSize: DATA_SEND_BUFFER_BYTES,
      });
      link = new TransportLink(transport, worker.worker, settled, logger);
    } catch (error) {
      settled();
      throw error;
    }
    try {
      await link.transport.connect({ dtlsParameters: dtls });
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  get connected(): boolean {
    return !this.#over && this.transport.dtlsState === 'connected';
  }

  /** The gateway's end, for an answer. */
  get local(): LocalTransport {
    const { iceParameters, iceCandidates, dtlsParameters, sctpParameters } = this.transport;
    return { iceParameters, iceCandidates, dtlsParameters, ...(sctpParameters && { sctpParameters }) };
  }

  /** Idempotent; emits nothing. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#settle();
    this.transport.close();
  }

  /** Connected, or over. */
  #settle(): void {
    for (const timeout of this.#timeouts) clearTimeout(timeout);
    this.#settled();
  }

  #lose(code: 'PUBLISHER_LOST' | 'WORKER_DIED' | 'SHUTTING_DOWN', what: string): void {
    if (this.#over) return;
    this.close();
    this.emit('lost', new GatewayError(code, what));
  }
}
