import { Timer, type Clock } from '../../runtime/clock.ts';
import type { SipMessage } from '../message/message.ts';

/** The shortest interval (RFC 4028, 4). Seconds. */
export const MIN_SESSION_S = 90;
/** A day: more is none. */
const MAX_SESSION_S = 86_400;

export interface SessionInterval {
  readonly seconds: number;
  readonly refresher: 'uac' | 'uas' | undefined;
}

/** `Session-Expires: 1800;refresher=uac` */
export function readSessionExpires(message: SipMessage): SessionInterval | undefined {
  const match = /^\s*(\d{1,9})/.exec(message.get('session-expires') ?? '');
  if (!match) return undefined;
  const refresher = /;\s*refresher\s*=\s*(uac|uas)/i.exec(message.get('session-expires')!)?.[1]?.toLowerCase();
  return {
    seconds: Math.min(MAX_SESSION_S, Math.max(MIN_SESSION_S, Number(match[1]))),
    refresher: refresher as SessionInterval['refresher'],
  };
}

/** Whether the peer wants a shorter interval than the shortest one, which an answer must not make longer. */
export const isShortSession = (message: SipMessage): boolean =>
  Number(/^\s*(\d{1,9})/.exec(message.get('session-expires') ?? '')?.[1] ?? MIN_SESSION_S) < MIN_SESSION_S;

/** Keeps a session alive, or ends it when the peer does not (RFC 4028). */
export class SessionTimer {
  readonly #timer: Timer;
  readonly #refresh: () => void;
  readonly #expire: () => void;
  #seconds: number | undefined;
  #isOurs = false;

  constructor(clock: Clock, { refresh, expire }: { refresh: () => void; expire: () => void }) {
    this.#timer = new Timer(clock);
    this.#refresh = refresh;
    this.#expire = expire;
  }

  /** The value of Session-Expires for a request of ours. */
  header(): string | undefined {
    return this.#seconds === undefined ? undefined : `${this.#seconds};refresher=${this.#isOurs ? 'uac' : 'uas'}`;
  }

  /** A request with its answer was exchanged. */
  start(interval: SessionInterval | undefined, { weAsked }: { weAsked: boolean }): void {
    this.stop();
    if (!interval) return;
    const { seconds, refresher = 'uac' } = interval;
    this.#seconds = seconds;
    this.#isOurs = (refresher === 'uac') === weAsked;
    if (this.#isOurs) this.#timer.set(seconds * 500, this.#refresh);
    else this.#timer.set((seconds - Math.min(32, seconds / 3)) * 1000, this.#expire);
  }

  stop(): void {
    this.#seconds = undefined;
    this.#timer.clear();
  }
}
