import { signal } from '@preact/signals';

/**
 * @typedef {import('../../../api/ops/destination-schemas.ts').DestinationView & Record<string, any>} Destination
 * @typedef {{ id: string, name: string, destinationIds: readonly string[], onPublish: readonly string[] }} Group
 * @typedef {import('../destination-row.js').Platform} Platform
 */

/** Saved destinations and groups, as the gateway has them. */
export class Saved {
  /** Undefined until they are loaded. @type {import('@preact/signals').Signal<readonly Destination[] | undefined>} */
  destinations = signal(undefined);
  /** @type {import('@preact/signals').Signal<readonly Group[]>} */
  groups = signal([]);
  /** @type {import('@preact/signals').Signal<readonly Platform[]>} */
  platforms = signal([]);
  /** Why they could not be loaded. */
  error = signal('');
  #access;

  /** @param {import('../access.js').Access} access */
  constructor(access) {
    this.#access = access;
  }

  async load() {
    try {
      const [destinations, groups, platforms] = await Promise.all(
        ['destinations', 'destination-groups', 'platforms'].map((name) => this.#access.ask(`/api/v1/${name}`)),
      );
      this.groups.value = /** @type {Group[]} */ (groups);
      this.platforms.value = /** @type {Platform[]} */ (platforms);
      this.destinations.value = /** @type {Destination[]} */ (destinations);
      this.error.value = '';
    } catch (error) {
      this.#access.asksForKey(error);
      this.error.value = /** @type {Error} */ (error).message;
    }
  }

  /**
   * Creates, or changes what has an id.
   *
   * @param {'destinations' | 'destination-groups'} kind
   * @param {string | undefined} id
   * @param {object} body
   */
  async save(kind, id, body) {
    await (id === undefined
      ? this.#access.ask(`/api/v1/${kind}`, 'POST', body)
      : this.#access.ask(`/api/v1/${kind}/${id}`, 'PATCH', body));
    await this.load();
  }

  /**
   * @param {'destinations' | 'destination-groups'} kind
   * @param {string} id
   */
  async remove(kind, id) {
    await this.#access.ask(`/api/v1/${kind}/${id}`, 'DELETE');
    await this.load();
  }

  /** Whether these credentials may save and change: those that are limited to certain streams may not. */
  get mayChange() {
    const { principal } = this.#access;
    return !principal || (principal.actions.includes('push') && !principal.streams);
  }
}
