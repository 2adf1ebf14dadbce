import { randomBytes } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import { limitHits } from '../../observe/limits.ts';
import type { Ladder } from './ladder.ts';

/** Whose session it is: a limit applies to each address, and to each principal. */
export interface Viewer {
  /** As `clientOf()` has it. */
  readonly address: string;
  /** Undefined for clients without a credential. */
  readonly principal?: string | undefined;
}

/** One player of a stream. Its token is part of the URLs in its playlists, and stands for the right to play. */
export interface ViewerSession {
  readonly token: string;
  /** The name in the URL. */
  readonly asked: string;
  readonly ladder: Ladder;
  readonly viewer: Viewer;
  readonly endsMs: number | undefined;
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

export interface ViewerLimits {
  readonly total: number;
  /** Of one address, and of one principal. */
  readonly perClient: number;
}

const isSame = (one: Viewer, other: Viewer): boolean =>
  one.address === other.address || (one.principal !== undefined && one.principal === other.principal);

const count = (sessions: readonly ViewerSession[], of: (viewer: Viewer) => boolean): number =>
  sessions.filter(({ viewer }) => of(viewer)).length;

/** The players of all streams. Time is passed in, in milliseconds of a clock that does not step. */
export class ViewerSessions {
  readonly #sessions = new Map<string, ViewerSession>();
  readonly #limits: ViewerLimits;

  constructor(limits: ViewerLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#sessions.size;
  }

  has(token: string, asked: string): boolean {
    return this.#sessions.get(token)?.asked === asked;
  }

  /**
   * Makes room for a session: one of the same client that was never used goes first.
   *
   * @throws {GatewayError} LIMIT_REACHED
   */
  check(viewer: Viewer): void {
    const own = [...this.#sessions.values()].filter((session) => isSame(session.viewer, viewer));
    const { total, perClient } = this.#limits;
    const isFull = this.#sessions.size >= total;
    const isOverOwn =
      count(own, ({ address }) => address === viewer.address) >= perClient ||
      (viewer.principal !== undefined && count(own, ({ principal }) => principal === viewer.principal) >= perClient);
    if (!isFull && !isOverOwn) return;
    // The longest unused one: the map has them in order.
    const unused = own.find(({ used, requests }) => !used && requests === 0);
    if (unused) return void this.#sessions.delete(unused.token);
    const setting = isOverOwn ? 'max_hls_viewers_per_client' : 'max_hls_viewers';
    limitHits.count(setting);
    throw new GatewayError(
      'LIMIT_REACHED',
      `There are already ${isOverOwn ? `${perClient} HLS viewers of this client` : `${total} HLS viewers`} (${setting}). Try again later.`,
    );
  }

  /** @throws {GatewayError} LIMIT_REACHED */
  open(asked: string, ladder: Ladder, endsMs: number | undefined, nowMs: number, viewer: Viewer): ViewerSession {
    this.check(viewer);
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const session = { token, asked, ladder, viewer, endsMs, lastSeenMs: nowMs, used: false, requests: 0 };
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
    for (const [token, { lastSeenMs, used, requests, endsMs }] of this.#sessions) {
      const isIdle = requests === 0 && nowMs - lastSeenMs > (used ? IDLE_MS : UNUSED_MS);
      if (isIdle || (endsMs !== undefined && endsMs + IDLE_MS <= nowMs)) this.#sessions.delete(token);
    }
  }

  isWatched(ladder: Ladder): boolean {
    for (const session of this.#sessions.values()) if (session.ladder === ladder) return true;
    return false;
  }

  #checkTime({ endsMs }: ViewerSession, nowMs: number): void {
    if (endsMs !== undefined && endsMs <= nowMs)
      throw new GatewayError('TOKEN_EXPIRED', 'The token has expired. Get a new one and load the playlist again.');
  }
}
