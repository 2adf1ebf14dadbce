import { GatewayError } from '../errors.ts';
import { isOwnHost } from '../net/loopback.ts';
import {
  ALL_ACTIONS,
  type AccessProvider,
  type Action,
  type Credentials,
  type Door,
  type Principal,
} from './authorizer.ts';

/** The principal of clients that need no credential. */
export const ANONYMOUS = 'anonymous';

const anonymous = (actions: ReadonlySet<Action>): Principal => ({ id: ANONYMOUS, actions });

/** `allow_anonymous`: every client may do everything. */
export class OpenProvider implements AccessProvider {
  async identify(): Promise<Principal> {
    return anonymous(ALL_ACTIONS);
  }
}

/**
 * Without any provider the gateway listens on loopback, and programs of this machine may do everything. Those include browsers, so a
 * request must also name this machine in its `Host` header: a page whose name was made to resolve to 127.0.0.1 (DNS rebinding) does
 * not. On the WebSockets, `origin.ts` of the signaling folder keeps foreign pages out.
 */
export class LoopbackProvider implements AccessProvider {
  async identify({ door, host }: Credentials): Promise<Principal> {
    if (door === 'wcs' || door === 'rooms' || isOwnHost(host ?? '')) return anonymous(ALL_ACTIONS);
    throw new GatewayError(
      'HOST_NOT_ALLOWED',
      'Without rest_api_key the gateway answers only requests to localhost and 127.0.0.1. Use one of these ' +
        'names, or set rest_api_key, or allow_anonymous=true.',
    );
  }
}

const READ_ONLY: ReadonlySet<Action> = new Set(['read']);

/** Doors that are open to every client, whatever the other settings say. What they show names no streams and hosts. */
export class OpenDoorsProvider implements AccessProvider {
  readonly #doors: readonly Door[];

  constructor(doors: readonly Door[]) {
    this.#doors = doors;
  }

  async identify({ door }: Credentials): Promise<Principal | undefined> {
    return this.#doors.includes(door) ? anonymous(READ_ONLY) : undefined;
  }
}
