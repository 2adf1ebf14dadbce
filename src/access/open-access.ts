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

const anonymous = (actions: ReadonlySet<Action>): Principal => ({ id: 'anonymous', actions });

/** `allow_anonymous`: every client may do everything. */
export class OpenProvider implements AccessProvider {
  async identify(): Promise<Principal> {
    return anonymous(ALL_ACTIONS);
  }
}

/**
 * Without a key the gateway listens on loopback, and programs of this machine may do everything. Those include
 * browsers, so a request must also name this machine in its `Host` header: a page whose name was made to resolve to
 * 127.0.0.1 (DNS rebinding) does not.
 */
export class LoopbackProvider implements AccessProvider {
  async identify({ host }: Credentials): Promise<Principal> {
    if (isOwnHost(host ?? '')) return anonymous(ALL_ACTIONS);
    throw new GatewayError(
      'HOST_NOT_ALLOWED',
      'Without rest_api_key the gateway answers only requests to localhost and 127.0.0.1. Use one of these names, or set rest_api_key, or allow_anonymous=true.',
    );
  }
}

/**
 * What is open to every client, whatever the settings say. The WebSocket is open because the gateway does not check its
 * credentials yet: `origin.ts` of the signaling folder is all that guards it. Monitoring is open because it shows no
 * names of streams or hosts.
 */
const OPEN_DOORS: ReadonlyMap<Door, ReadonlySet<Action>> = new Map([
  ['wcs', new Set<Action>(['publish', 'play', 'push'])],
  ['metrics', new Set<Action>(['read'])],
]);

export class OpenDoorsProvider implements AccessProvider {
  async identify({ door }: Credentials): Promise<Principal | undefined> {
    const actions = OPEN_DOORS.get(door);
    return actions && anonymous(actions);
  }
}
