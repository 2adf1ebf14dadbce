import { GatewayError } from '../errors.ts';
import type { Participant, RoomEvent } from './room-client.ts';

const MAX_LOGIN_LENGTH = 64;
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

interface Named {
  readonly receive: (event: RoomEvent) => void;
  readonly streams: Set<string>;
}

/** The members of a scope that have a login. They see each other come and go, and the streams that each publishes. */
export class Participants {
  readonly #named = new Map<string, Named>();

  /** @throws {GatewayError} INVALID_REQUEST or LOGIN_IN_USE */
  check(login: string): void {
    if (login.length < 1 || login.length > MAX_LOGIN_LENGTH || CONTROL_CHARACTER.test(login))
      throw new GatewayError(
        'INVALID_REQUEST',
        `The login must have 1 to ${MAX_LOGIN_LENGTH} characters and no control characters.`,
      );
    // The Web SDK uses logins as keys of an object: this one would break the pages of all other members.
    if (login === '__proto__') throw new GatewayError('INVALID_REQUEST', 'The login must not be __proto__.');
    if (this.#named.has(login))
      throw new GatewayError('LOGIN_IN_USE', `The login ${JSON.stringify(login)} is already in this room.`);
  }

  /** Adds a member whose login has been checked, and tells it who else is there. */
  add(login: string, receive: (event: RoomEvent) => void): void {
    const members: Participant[] = [...this.#named].map(([other, { streams }]) => ({
      login: other,
      streams: [...streams],
    }));
    this.#named.set(login, { receive, streams: new Set() });
    receive({ type: 'members', members });
    this.#tellOthers(login, { type: 'joined', login });
  }

  remove(login: string): void {
    if (this.#named.delete(login)) this.#tellOthers(login, { type: 'left', login });
  }

  publish(login: string, stream: string): void {
    const named = this.#named.get(login);
    if (!named || named.streams.has(stream)) return;
    named.streams.add(stream);
    this.#tellOthers(login, { type: 'published', login, stream });
  }

  unpublish(login: string, stream: string, failed: boolean): void {
    if (!this.#named.get(login)?.streams.delete(stream)) return;
    this.#tellOthers(login, { type: failed ? 'failed' : 'unpublished', login, stream });
  }

  /** @throws {GatewayError} MEMBER_NOT_FOUND */
  sendTo(from: string, to: string, text: string): void {
    const named = this.#named.get(to);
    if (!named) throw new GatewayError('MEMBER_NOT_FOUND', 'Nobody with this login is in the room.');
    named.receive({ type: 'message', from, text });
  }

  #tellOthers(login: string, event: RoomEvent): void {
    for (const [other, { receive }] of [...this.#named]) if (other !== login) receive(event);
  }
}
