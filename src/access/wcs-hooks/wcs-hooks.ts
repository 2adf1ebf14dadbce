import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import type { DestinationPolicy } from '../../net/destination-policy.ts';
import type { Secret } from '../../net/secret.ts';
import type { Logger } from '../../observe/logger.ts';
import type { StreamRequest } from '../authorizer.ts';
import { Callout, calloutFailure, parseAnswer, visibleReason } from '../callout.ts';
import { connectionStatusBody, streamBody, type HookBody, type ObservedConnection } from './hook-bodies.ts';
import { NotificationQueue } from './notification-queue.ts';
import { DEFAULT_METHOD, RestClientConfigSchema } from './rest-client-config.ts';
import type { HookMethod, MethodConfig, RestClientConfig } from './rest-client-config.ts';

export interface WcsHooksOptions {
  readonly url: string;
  /** Signs the requests. */
  readonly key?: Secret | undefined;
  readonly timeoutMs: number;
  /** Decides which addresses of the host may be connected to. */
  readonly policy: DestinationPolicy;
  /** Identifies this gateway. */
  readonly nodeId: string;
  readonly logger: Logger;
  /** Milliseconds that {@link WcsHooks.close} gives to the server. */
  readonly closeWaitMs?: number;
}

/** Bytes. Answers repeat the request, whose offer has up to 64 kB. */
const MAX_ANSWER_BYTES = 512 * 1024;
/** Notifications that wait, each of which may keep an offer of 64 kB in memory, and requests at the same time. */
const QUEUE = { limit: 2000, parallel: 16 };
const CLOSE_WAIT_MS = 2000;

const BodySchema = z.record(z.string(), z.unknown());
const ReasonSchema = z.object({ info: z.string().optional(), reason: z.string().optional() });

/** What the hooks are told about, as far as they see it. */
export interface ObservedStreamSession extends StreamRequest {
  readonly name: string;
  readonly published: boolean;
}
export interface ObservedStatus {
  readonly status: string;
  readonly info?: string | undefined;
  /** Whether the client has asked for the end. */
  readonly requested?: boolean | undefined;
}
export interface ObservedData {
  readonly operationId?: string | number | undefined;
  readonly payload?: unknown;
}
export interface ObservedClients {
  on(event: 'connected', listener: (connection: ObservedConnection & { readonly principal?: object }) => void): unknown;
  on(event: 'disconnected', listener: (connection: ObservedConnection) => void): unknown;
  on(event: 'stream', listener: (session: ObservedStreamSession, status: ObservedStatus) => void): unknown;
  on(event: 'data', listener: (connection: ObservedConnection, data: ObservedData) => void): unknown;
}

export interface ConnectAnswer {
  readonly config: RestClientConfig;
  /** The fields of the connection that come back changed. */
  readonly changed: HookBody;
}

/** Calls WCS's REST hooks: decisions at once, notifications in the background and in order for each session. */
export class WcsHooks {
  readonly nodeId: string;
  readonly #options: WcsHooksOptions;
  readonly #callout: Callout;
  readonly #queue = new NotificationQueue(QUEUE);
  /** Of connections that were accepted by `connect`, by their principals, until the connection is listed. */
  readonly #accepted = new WeakMap<object, RestClientConfig>();
  /** Of connections, by `sessionId`. */
  readonly #configs = new Map<string, RestClientConfig>();
  #dropped = 0;

  constructor(options: WcsHooksOptions) {
    this.#options = options;
    this.nodeId = options.nodeId;
    this.#callout = new Callout({ ...options, maxBytes: MAX_ANSWER_BYTES });
  }

  /** Notifications that wait for the application server. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Notifications that were dropped because too many waited. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Asks about a connection. A failure denies access, because there is no `restClientConfig` yet.
   *
   * @throws {GatewayError} FORBIDDEN, ACCESS_UNAVAILABLE
   */
  async connect(body: HookBody): Promise<ConnectAnswer> {
    const answer = await this.#ask('connect', body, DEFAULT_METHOD);
    const parsed = RestClientConfigSchema.safeParse(answer?.['restClientConfig'] ?? {});
    if (!parsed.success) throw this.#unusable('connect', parsed.error.issues[0]!.message);
    const config = parsed.data;
    return { config, changed: changes(answer, body, config.get('connect') ?? DEFAULT_METHOD) };
  }

  /** The connection of the principal follows the config from now on. */
  accept(principal: object, config: RestClientConfig): void {
    this.#accepted.set(principal, config);
  }

  /**
   * @returns the fields that come back changed
   * @throws {GatewayError} FORBIDDEN, ACCESS_UNAVAILABLE
   */
  async decide(
    method: 'publishStream' | 'playStream' | 'sendData',
    sessionId: string,
    body: HookBody,
  ): Promise<HookBody> {
    const config = this.#configOf(sessionId, method);
    if (config.policy === 'DISABLED') return {};
    return changes(await this.#ask(method, body, config), body, config);
  }

  /**
   * Passes data of a client on.
   *
   * @throws {GatewayError} FORBIDDEN, ACCESS_UNAVAILABLE
   */
  async sendData(connection: Pick<ObservedConnection, 'sessionId' | 'appKey'>, data: ObservedData): Promise<void> {
    await this.decide('sendData', connection.sessionId, this.#dataBody(connection, data));
  }

  observe(clients: ObservedClients): void {
    clients.on('connected', (connection) => {
      const config = connection.principal && this.#accepted.get(connection.principal);
      if (config) this.#configs.set(connection.sessionId, config);
      this.#notifyStatus(connection, 'ESTABLISHED');
    });
    clients.on('stream', (session, { status, info, requested = false }) => {
      const { name, published } = session;
      const request = requestOf(session);
      const body = (): HookBody => streamBody(this.nodeId, request, { name, published, status, info });
      if (requested) this.#notify(published ? 'unPublishStream' : 'stopStream', session, body);
      this.#notify('StreamStatusEvent', session, body);
    });
    clients.on('data', (connection, data) =>
      this.#notify('OnDataEvent', connection, () => this.#dataBody(connection, data)),
    );
    clients.on('disconnected', (connection) => {
      this.#notifyStatus(connection, 'DISCONNECTED');
      this.#configs.delete(connection.sessionId);
    });
  }

  /** Gives the application server a moment to take what waits. Idempotent. */
  async close(): Promise<void> {
    await this.#queue.settle(this.#options.closeWaitMs ?? CLOSE_WAIT_MS);
    this.#queue.clear();
    this.#callout.close();
  }

  #dataBody(
    { sessionId, appKey }: Pick<ObservedConnection, 'sessionId' | 'appKey'>,
    { operationId, payload }: ObservedData,
  ): HookBody {
    return { nodeId: this.nodeId, appKey, sessionId, operationId, payload };
  }

  #configOf(sessionId: string, method: HookMethod): MethodConfig {
    return this.#configs.get(sessionId)?.get(method) ?? DEFAULT_METHOD;
  }

  #notifyStatus(connection: ObservedConnection, status: string): void {
    this.#notify('ConnectionStatusEvent', connection, () => connectionStatusBody(this.nodeId, connection, status));
  }

  /** @param body is built when it is sent: bodies that wait would take much memory */
  #notify(method: HookMethod, { sessionId }: { readonly sessionId: string }, body: () => HookBody): void {
    const config = this.#configOf(sessionId, method);
    if (config.policy === 'DISABLED') return;
    const added = this.#queue.add(sessionId, async () => {
      try {
        const { status } = await this.#post(method, body(), config);
        if (status < 200 || status > 299) throw new Error(`status ${status}`);
      } catch (error) {
        this.#log(method, error, 'was not told about an event');
      }
    });
    if (added) return;
    this.#dropped++;
    this.#options.logger.warn(
      { method, waiting: QUEUE.limit },
      'a WCS hook was dropped: too many wait for wcs_hooks_url',
    );
  }

  /** @returns the answer, or undefined after a failure that is to be ignored */
  async #ask(method: HookMethod, body: HookBody, config: MethodConfig): Promise<HookBody | undefined> {
    try {
      const { status, body: text } = await this.#post(method, body, config);
      if (status === 403) throw denied(text);
      if (status !== 200) throw new Error(`status ${status}`);
      const answer = text.trim() === '' ? {} : BodySchema.safeParse(parseAnswer(text)).data;
      if (!answer) throw new Error('the answer is not a JSON object');
      return answer;
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'FORBIDDEN') throw error;
      if (config.failOnError) {
        this.#log(method, error, 'does not decide: access denied');
        throw this.#unusable(method, undefined, error);
      }
      this.#log(method, error, 'does not decide, and restOnError is LOG: allowed');
      return undefined;
    }
  }

  #post(method: HookMethod, body: HookBody, { exclude }: MethodConfig): ReturnType<Callout['post']> {
    const { url, key } = this.#options;
    const text = JSON.stringify(Object.fromEntries(Object.entries(body).filter(([field]) => !exclude.includes(field))));
    const signature = key && createHmac('md5', key.reveal()).update(text).digest('base64');
    return this.#callout.post(
      new URL(`${url.replace(/\/+$/, '')}/${method}`),
      text,
      signature === undefined ? {} : { authorization: `WCS ${signature}` },
    );
  }

  #log(method: HookMethod, error: unknown, what: string): void {
    const { url, logger } = this.#options;
    logger.warn({ host: new URL(url).host, method, reason: calloutFailure(error) }, `wcs_hooks_url ${what}`);
  }

  #unusable(method: HookMethod, why: string | undefined, cause?: unknown): GatewayError {
    const what = why === undefined ? 'does not answer' : `gives no usable answer (${why})`;
    return new GatewayError(
      'ACCESS_UNAVAILABLE',
      `The application server (wcs_hooks_url) ${what} to ${method}, so access is denied. Try again later.`,
      { cause },
    );
  }
}

function denied(text: string): GatewayError {
  const { data } = ReasonSchema.safeParse(parseAnswer(text));
  const reason = data?.reason ?? data?.info;
  return new GatewayError(
    'FORBIDDEN',
    `The application server denies access: ${reason ? visibleReason(reason) : 'it gives no reason'}`,
  );
}

/** The fields alone, because a notification that waits must not keep a whole session in memory. */
const requestOf = (session: StreamRequest): StreamRequest => ({
  sessionId: session.sessionId,
  mediaSessionId: session.mediaSessionId,
  appKey: session.appKey,
  mediaProvider: session.mediaProvider,
  hasAudio: session.hasAudio,
  hasVideo: session.hasVideo,
  offerSdp: session.offerSdp,
  bitrate: session.bitrate,
  record: session.record,
  custom: session.custom,
});

/** What identifies a session, and the restClientConfig, are not the client's. */
const FIXED: ReadonlySet<string> = new Set(['nodeId', 'sessionId', 'appKey', 'mediaSessionId', 'restClientConfig']);

function changes(answer: HookBody | undefined, body: HookBody, { overwrites }: MethodConfig): HookBody {
  return Object.fromEntries(
    Object.entries(answer ?? {}).filter(
      ([field, value]) =>
        !FIXED.has(field) && overwrites(field) && JSON.stringify(value) !== JSON.stringify(body[field]),
    ),
  );
}
