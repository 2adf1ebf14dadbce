import { randomBytes } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import type { Ladder } from './ladder.ts';

/** One player of a stream. Its token is part of the URLs in its playlists, and stands for the right to play. */
export interface ViewerSession {
  readonly token: string;
  /** The name in the URL. */
  readonly asked: string;
  readonly ladder: Ladder;
  /** Milliseconds since 1970. */
  readonly endsAt: number | undefined;
  lastSeenMs: number;
  /** Whether it has asked for more than its first playlist. */
  used: boolean;
  /** Requests that are being answered. */
  requests: number;
}

/** Milliseconds after its last request in which a session ends: of a player, and of a client that never became one. */
const IDLE_MS = 30_000;
const UNUSED_MS = 10_000;
/** Players ask for a playlist, a part and a segment at the same time. */
const MAX_REQUESTS = 8;
const TOKEN_BYTES = 18;

/** The players of all streams. Time is passed in. */
export class ViewerSessions {
  readonly #sessions = new Map<string, ViewerSession>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  check(): void {
    if (this.#sessions.size >= this.#max)
      throw new GatewayError(
        'LIMIT_REACHED',
        `The gateway already has ${this.#max} HLS viewers (max_hls_viewers). Try again later.`,
      );
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  open(asked: string, ladder: Ladder, endsAt: number | undefined, nowMs: number): ViewerSession {
    this.check();
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const session = { token, asked, ladder, endsAt, lastSeenMs: nowMs, used: false, requests: 0 };
    this.#sessions.set(token, session);
    return session;
  }

  /**
   * Runs one request of a session.
   *
   * @throws {GatewayError} SESSION_NOT_FOUND, TOKEN_EXPIRED, LIMIT_REACHED
   */
  async run<T>(
    token: string,
    asked: string,
    now: () => number,
    work: (session: ViewerSession) => Promise<T>,
  ): Promise<T> {
    const session = this.#sessions.get(token);
    if (!session || session.asked !== asked)
      throw new GatewayError('SESSION_NOT_FOUND', 'This HLS session has ended. Load the playlist of the stream again.');
    this.#checkTime(session, now());
    if (session.requests >= MAX_REQUESTS)
      throw new GatewayError('LIMIT_REACHED', `An HLS session may have ${MAX_REQUESTS} requests at the same time.`);
    session.lastSeenMs = now();
    session.used = true;
    session.requests++;
    try {
      const result = await work(session);
      // The request may have waited.
      this.#checkTime(session, now());
      return result;
    } finally {
      session.requests--;
      session.lastSeenMs = now();
    }
  }

  sweep(nowMs: number): void {
    for (const [token, { lastSeenMs, used, requests, endsAt }] of this.#sessions) {
      const isIdle = requests === 0 && nowMs - lastSeenMs > (used ? IDLE_MS : UNUSED_MS);
      if (isIdle || (endsAt !== undefined && endsAt + IDLE_MS <= nowMs)) this.#sessions.delete(token);
    }
  }

  isWatched(ladder: Ladder): boolean {
    for (const session of this.#sessions.values()) if (session.ladder === ladder) return true;
    return false;
  }

  #checkTime({ endsAt }: ViewerSession, nowMs: number): void {
    if (endsAt !== undefined && endsAt <= nowMs)
      throw new GatewayError('TOKEN_EXPIRED', 'The token has expired. Get a new one and load the playlist again.');
  }
}
