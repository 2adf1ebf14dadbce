import { EventEmitter } from 'node:events';

/** How a client's media reaches the gateway. */
export type MediaProvider = 'WebRTC' | 'WHIP' | 'WHEP';

/** The application of clients that do not name one. */
export const DEFAULT_APPLICATION = 'live';

/** One publisher or player, from its request to its end, as REST shows it. */
export interface StreamSession {
  /** Unique; chosen by the client for WebSocket sessions. */
  readonly mediaSessionId: string;
  /** The WebSocket connection; for WHIP and WHEP the same as `mediaSessionId`. */
  readonly sessionId: string;
  readonly name: string;
  /** Whether the client sends the stream; otherwise it plays it. */
  readonly published: boolean;
  readonly mediaProvider: MediaProvider;
  /** The client's name for its application. */
  readonly appKey: string;
  /** The application in the sense of Red5: the first path segment of its URLs. */
  readonly application: string;
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
  readonly transport: 'UDP' | 'TCP';
  /** The client's offer. */
  readonly offerSdp: string;
  /** Kilobits per second as the client requested them; 0 for no request. */
  readonly bitrate: number;
  /** Whether the client has asked for a recording. */
  readonly record?: boolean;
  readonly minBitrate: number;
  readonly maxBitrate: number;
  readonly clientAddress: string;
  readonly createdAt: Date;
  /** What the page has set. */
  readonly custom?: unknown;
  /** Who the client is. Known once it has been authorised. */
  readonly principalId?: string | undefined;
  /** Whether media flows. */
  readonly active: boolean;
  /** Sets a new end of the right to publish or play, in milliseconds since 1970; `undefined`: it does not end. */
  renew?(endsAt: number | undefined): void;
  /** Ends the session; the client learns `info`. Idempotent. */
  terminate(info: string): void;
}

/** One WebSocket connection whose client has been identified. */
export interface ClientConnection {
  readonly sessionId: string;
  readonly appKey: string;
  readonly clientVersion: string;
  readonly clientOSVersion: string;
  readonly clientBrowserVersion: string;
  readonly mediaProviders: readonly string[];
  readonly clientAddress: string;
  readonly createdAt: Date;
  /** Who the client is. */
  readonly principal?: object;
  /** @throws {GatewayError} INVALID_REQUEST for data that the page would take for something else */
  sendData(data: ClientData): void;
  /** Ends the streams of the connection, which learn `info`, then the connection. Idempotent. */
  terminate(info: string): void;
}

/** A publisher or player, or the request of one that was refused. */
export type StreamSubject = Pick<
  StreamSession,
  | 'mediaSessionId'
  | 'sessionId'
  | 'name'
  | 'published'
  | 'mediaProvider'
  | 'appKey'
  | 'hasAudio'
  | 'hasVideo'
  | 'offerSdp'
  | 'bitrate'
  | 'record'
  | 'custom'
>;

/** WCS's states of a publisher or player. */
export interface StreamSessionStatus {
  readonly status: 'PUBLISHING' | 'PLAYING' | 'UNPUBLISHED' | 'STOPPED' | 'FAILED';
  /** Why it has ended. */
  readonly info?: string;
  /** Whether the client has asked for the end. */
  readonly requested?: boolean;
}

export interface ClientData {
  readonly operationId?: string | number | undefined;
  readonly payload: unknown;
}

export interface ClientSessionsEvents {
  connected: [connection: ClientConnection];
  disconnected: [connection: ClientConnection];
  /** A publisher or player has a new status, or was refused. */
  stream: [session: StreamSubject, status: StreamSessionStatus];
  /** The application server sends data to a client. */
  data: [connection: ClientConnection, data: ClientData];
}

/** The publishers, players and WebSocket connections of all doors. Doors add theirs; REST lists and ends them. */
export class ClientSessions extends EventEmitter<ClientSessionsEvents> {
  readonly #streams = new Set<StreamSession>();
  readonly #connections = new Set<ClientConnection>();

  get streams(): StreamSession[] {
    return [...this.#streams];
  }

  get connections(): ClientConnection[] {
    return [...this.#connections];
  }

  /** @returns the function that removes it; idempotent */
  addStream(session: StreamSession): () => void {
    this.#streams.add(session);
    return () => void this.#streams.delete(session);
  }

  /** @returns the function that removes it; idempotent */
  addConnection(connection: ClientConnection): () => void {
    this.#connections.add(connection);
    this.emit('connected', connection);
    return () => {
      if (this.#connections.delete(connection)) this.emit('disconnected', connection);
    };
  }
}
