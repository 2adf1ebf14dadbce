import { GatewayError } from '../../errors.ts';
import { DEFAULT_APPLICATION, type ClientSessions, type StreamSession } from '../../sessions/client-sessions.ts';
import type { LiveStream } from '../../streams/live-stream.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';

/** A client in the sense of Red5: a WebSocket connection, or a session over WHIP or WHEP. */
export interface Client {
  readonly id: string;
  readonly clientAddress: string;
  readonly createdAt: Date;
  /** Names of the streams that it publishes and plays. */
  readonly streams: readonly string[];
  terminate(info: string): void;
}

/** Streams and clients by application, the first path segment of the URLs of Red5's clients. Everything else is in `live`. */
export class Applications {
  readonly #sessions: ClientSessions;
  readonly #registry: StreamRegistry;

  constructor(sessions: ClientSessions, registry: StreamRegistry) {
    this.#sessions = sessions;
    this.#registry = registry;
  }

  /** `live` and the applications that have a session. */
  get names(): string[] {
    return [...new Set([DEFAULT_APPLICATION, ...this.#sessions.streams.map(({ application }) => application)])];
  }

  streams(application: string): LiveStream[] {
    const publishers = new Map(
      this.#sessions.streams.filter((session) => session.published).map((session) => [session.name, session]),
    );
    return this.#registry
      .list()
      .filter(({ name }) => (publishers.get(name)?.application ?? DEFAULT_APPLICATION) === application);
  }

  /** Players of a stream that receive media. */
  players(stream: string): number {
    return this.#sessions.streams.filter(({ name, published, active }) => name === stream && !published && active)
      .length;
  }

  clients(application: string): Client[] {
    const sessions = this.#sessions.streams.filter((session) => session.application === application);
    const bySession = Map.groupBy(sessions, ({ sessionId }) => sessionId);
    const names = (id: string): string[] => [...new Set((bySession.get(id) ?? []).map(({ name }) => name))];
    const connections = application === DEFAULT_APPLICATION ? this.#sessions.connections : [];
    return [
      ...connections.map((connection) => ({
        id: connection.sessionId,
        clientAddress: connection.clientAddress,
        createdAt: connection.createdAt,
        streams: names(connection.sessionId),
        terminate: (info: string) => connection.terminate(info),
      })),
      ...sessions.filter(isOverHttp).map((session) => ({
        id: session.sessionId,
        clientAddress: session.clientAddress,
        createdAt: session.createdAt,
        streams: [session.name],
        terminate: (info: string) => session.terminate(info),
      })),
    ];
  }

  /** Ends a stream; its publisher learns `info`. */
  unpublish(stream: LiveStream, info: string): void {
    const publishers = this.#sessions.streams.filter(({ name, published }) => published && name === stream.name);
    for (const publisher of publishers) publisher.terminate(info);
    // A stream that is held for its publisher may have no session.
    this.#registry.end(stream, new GatewayError('TERMINATED', info));
  }
}

const isOverHttp = ({ mediaProvider }: StreamSession): boolean => mediaProvider !== 'WebRTC';
