import { Emitter } from './emitter.js';
import { ClientError } from './errors.js';
import { randomId } from './random.js';
import { SharedObject } from './shared-object.js';

/** Milliseconds between two attempts to return to a room: the gateway may not have noticed yet that the old connection is lost. */
const RETURN_INTERVAL = 2000;
const RETURN_ATTEMPTS = 20;

/** Refusals that pass. */
const PASSING = ['LOGIN_IN_USE', 'NODE_LOST', 'CLUSTER_UNAVAILABLE'];

/** A request that a room has refused. The codes are those of the gateway; `DISCONNECTED`: there is no connection. */
export class RoomError extends ClientError {
  /**
   * @param {import('./wire.js').GatewayErrorCode | 'DISCONNECTED'} code
   * @param {string} message
   */
  constructor(code, message) {
    super(code, message);
    this.name = 'RoomError';
  }
}

/**
 * @typedef {object} Member another client in the room
 * @property {string} name
 * @property {readonly string[]} streams names of the streams that it publishes in the room
 *
 * @typedef {object} RoomMessage
 * @property {string} [from] the name of the sender, if it has one
 * @property {string} text
 * @property {boolean} direct sent to this client alone
 *
 * @typedef {object} RoomEvents
 * @property {[members: Member[]]} members somebody has come, gone, or started or stopped publishing
 * @property {[message: RoomMessage]} message
 * @property {[reason?: RoomError]} closed this client is not in the room any more; without a reason it has left itself
 *
 * @typedef {{ type: string, room: string, [field: string]: any }} GatewayEvent
 */

/**
 * A room that this page is in. After an interruption it returns to the room and connects to its objects again.
 *
 * @extends {Emitter<RoomEvents>}
 */
export class Room extends Emitter {
  #session;
  /** @type {Map<string, Set<string>>} streams by the name of their publisher */
  #members = new Map();
  /** @type {Map<string, SharedObject>} */
  #objects = new Map();
  /** @type {Map<string, PromiseWithResolvers<{ memberId?: string }>>} */
  #requests = new Map();
  #memberId = '';
  #returns = 0;
  #closed = false;
  /** @type {(() => void)[]} */
  #forget = [];

  /**
   * For `Session`.
   *
   * @internal
   * @param {import('./session.js').Session} session
   * @param {string} path
   * @param {{ name?: string }} [options]
   * @throws {RoomError}
   */
  static async join(session, path, { name = `guest-${randomId().slice(0, 6)}` } = {}) {
    const room = new Room(session, path, name);
    try {
      await room.#join();
    } catch (error) {
      room.#close();
      throw error;
    }
    return room;
  }

  /** Used by `join()` only.
   * @param {import('./session.js').Session} session
   * @param {string} path
   * @param {string} name
   */
  constructor(session, path, name) {
    super();
    this.#session = session;
    this.path = path;
    /** The name by which others know this client. */
    this.name = name;
    this.#forget.push(
      session.on('room', (message, content) => this.#receive(message, content)),
      session.on('state', (state) => {
        if (state === 'established') return void this.#return();
        for (const { reject } of this.#requests.values()) reject(disconnected());
        this.#requests.clear();
        if (state === 'closed') this.#close(disconnected());
      }),
    );
  }

  /** The other clients in the room. @returns {Member[]} */
  get members() {
    return [...this.#members].map(([name, streams]) => ({ name, streams: [...streams] }));
  }

  /** Sends a text to all in the room, this client included. @param {string} text */
  async send(text) {
    await this.#request('text', { text });
  }

  /**
   * Sends a text to one member.
   *
   * @param {string} name
   * @param {string} text
   */
  async sendTo(name, text) {
    await this.#request('message', { to: name, text });
  }

  /**
   * Connects to a shared object, which is created on demand.
   *
   * @param {string} name
   * @param {{ persistent?: boolean }} [options]
   * @returns {Promise<SharedObject>} when its properties are known
   */
  async object(name, { persistent = false } = {}) {
    const known = this.#objects.get(name);
    if (known) return known;
    const object = new SharedObject(
      name,
      (action, fields) => {
        if (action === 'disconnect') this.#objects.delete(name);
        return this.#request(action, { object: name, ...fields });
      },
      persistent,
    );
    this.#objects.set(name, object);
    try {
      await this.#request('connect', { object: name, persistent });
    } catch (error) {
      this.#objects.delete(name);
      throw error;
    }
    return object;
  }

  /**
   * Publishes a stream that belongs to the room: its members are told.
   *
   * @param {import('./publication.js').PublishOptions} options
   */
  publish(options) {
    return this.#session.publish({ ...options, room: this.path });
  }

  /** Leaves the room. Idempotent. */
  leave() {
    if (this.#closed) return;
    this.#request('leave', {}).catch(() => undefined);
    this.#close();
  }

  async #join() {
    this.#members.clear();
    const { memberId = '' } = await this.#request('join', { login: this.name });
    this.#memberId = memberId;
  }

  async #return() {
    const turn = ++this.#returns;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#join();
        for (const { name, persistent } of this.#objects.values())
          await this.#request('connect', { object: name, persistent });
        return;
      } catch (error) {
        const { code } = /** @type {RoomError} */ (error);
        // The session returns later, or the room has done so meanwhile.
        if (this.#closed || code === 'DISCONNECTED' || turn !== this.#returns) return;
        if (!PASSING.includes(code) || attempt >= RETURN_ATTEMPTS) return this.#close(/** @type {RoomError} */ (error));
        await new Promise((resolve) => setTimeout(resolve, RETURN_INTERVAL));
        if (this.#closed || this.#session.state !== 'established' || turn !== this.#returns) return;
      }
    }
  }

  /** @param {RoomError} [reason] */
  #close(reason) {
    if (this.#closed) return;
    this.#closed = true;
    for (const forget of this.#forget) forget();
    for (const { reject } of this.#requests.values()) reject(reason ?? disconnected());
    this.#requests.clear();
    this.emit('closed', ...(reason ? [reason] : []));
  }

  /**
   * @param {string} action
   * @param {object} fields
   * @returns {Promise<{ memberId?: string }>}
   */
  #request(action, fields) {
    if (this.#closed || this.#session.state !== 'established') return Promise.reject(disconnected());
    const id = randomId();
    /** @type {PromiseWithResolvers<{ memberId?: string }>} */
    const answer = Promise.withResolvers();
    this.#requests.set(id, answer);
    this.#session.send('room', { id, room: this.path, action, ...fields });
    return answer.promise;
  }

  /**
   * @param {string} message
   * @param {any} content
   */
  #receive(message, content) {
    if (message === 'roomReply') {
      const request = this.#requests.get(content.id);
      this.#requests.delete(content.id);
      if (content.error) request?.reject(new RoomError(content.error.code, content.error.message));
      else request?.resolve(content);
    } else if (content.room === this.path) this.#tell(content);
  }

  /** @param {GatewayEvent} event */
  #tell(event) {
    switch (event.type) {
      case 'text':
      case 'message':
        return this.emit('message', { from: event['from'], text: event['text'], direct: event.type === 'message' });
      case 'state':
        return this.#objects.get(event['object'])?.reset(event['properties']);
      case 'changes':
        return this.#objects.get(event['object'])?.apply(event['changes'], this.#memberId);
      case 'interrupted':
        return void this.#return();
      case 'closed':
        return this.#close(new RoomError(event['code'], event['message']));
      case 'members':
        this.#members = new Map(event['members'].map(streamsOf));
        break;
      case 'joined':
        this.#members.set(event['login'], new Set());
        break;
      case 'left':
        this.#members.delete(event['login']);
        break;
      case 'published':
        this.#members.get(event['login'])?.add(event['stream']);
        break;
      case 'unpublished':
      case 'failed':
        this.#members.get(event['login'])?.delete(event['stream']);
        break;
      default:
        return;
    }
    this.emit('members', this.members);
  }
}

/**
 * @param {{ login: string, streams: string[] }} member
 * @returns {[string, Set<string>]}
 */
const streamsOf = ({ login, streams }) => [login, new Set(streams)];

const disconnected = () => new RoomError('DISCONNECTED', 'There is no connection to the gateway.');
