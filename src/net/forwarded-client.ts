import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { wallClockMs } from '../runtime/wall-clock.ts';

/**
 * The address of a client whose request comes through a manager. It is signed with a key that only the processes of the
 * cluster have, so no list of trusted proxies is needed and clients cannot invent it.
 */

/** In lower case, as Node has header names. */
export const FORWARDED_CLIENT_HEADER = 'x-cluster-client';

/** Milliseconds by which the clocks of two machines may differ, the way of the request included. */
const MAX_AGE_MS = 60_000;

export class ForwardedClients {
  readonly #key: Buffer;

  /** @param stateKey `state_key`: 32 bytes in base64 */
  constructor(stateKey: string) {
    this.#key = Buffer.from(hkdfSync('sha256', Buffer.from(stateKey, 'base64'), '', 'forwarded client', 32));
  }

  /** The value of the header for a client at this address. */
  sign(address: string, nowMs = wallClockMs()): string {
    const text = `${address} ${nowMs}`;
    return `${text} ${this.#mac(text).toString('base64url')}`;
  }

  /** The address, or `undefined` if the header is missing or was not made with the key a moment ago. */
  verify(header: string | string[] | undefined, nowMs = wallClockMs()): string | undefined {
    if (typeof header !== 'string') return undefined;
    const [, text, address, time, mac] = /^((\S{1,64}) (\d{1,15})) ([\w-]{1,64})$/.exec(header) ?? [];
    if (text === undefined || isIP(address!) === 0 || Math.abs(nowMs - Number(time)) > MAX_AGE_MS) return undefined;
    const given = Buffer.from(mac!, 'base64url');
    const expected = this.#mac(text);
    return given.length === expected.length && timingSafeEqual(given, expected) ? address : undefined;
  }

  #mac(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest();
  }
}
