import { RestPart } from './rest.js';

/**
 * @typedef {import('./wire.js').SavedDestination} SavedDestination
 * @typedef {import('./wire.js').DestinationChange} DestinationChange
 * @typedef {import('./wire.js').DestinationGroup} DestinationGroup
 * @typedef {import('./wire.js').GroupChange} GroupChange
 * @typedef {import('./wire.js').GroupStart} GroupStart
 * @typedef {import('./wire.js').GroupCheck} GroupCheck
 *
 * @typedef {object} ServerOptions
 * @property {string} [url] of the gateway, such as `https://gateway.example`; the server of the page by default
 * @property {string} [apiKey] a key or a token, if the gateway wants one
 */

/** Saved destinations and groups of them. All methods throw a `RestError`. */
export class Destinations extends RestPart {
  /** @param {ServerOptions} [options] */
  constructor({ url = '', apiKey } = {}) {
    super(url, apiKey);
  }

  /** Without their stream keys. @returns {Promise<SavedDestination[]>} */
  list() {
    return this.ask('GET', 'api/v1/destinations');
  }

  /**
   * @param {DestinationChange & { id?: string, name: string }} destination
   * @returns {Promise<SavedDestination>}
   */
  save(destination) {
    return this.ask('POST', 'api/v1/destinations', destination);
  }

  /**
   * @param {string} id
   * @param {DestinationChange} change what is not in it stays
   * @returns {Promise<SavedDestination>}
   */
  change(id, change) {
    return this.ask('PATCH', `api/v1/destinations/${encodeURIComponent(id)}`, change);
  }

  /** @param {string} id */
  async remove(id) {
    await this.ask('DELETE', `api/v1/destinations/${encodeURIComponent(id)}`);
  }

  /** @returns {Promise<DestinationGroup[]>} */
  groups() {
    return this.ask('GET', 'api/v1/destination-groups');
  }

  /**
   * @param {GroupChange & { id?: string, name: string, destinationIds: readonly string[] }} group
   * @returns {Promise<DestinationGroup>}
   */
  saveGroup(group) {
    return this.ask('POST', 'api/v1/destination-groups', group);
  }

  /**
   * @param {string} id
   * @param {GroupChange} change what is not in it stays
   * @returns {Promise<DestinationGroup>}
   */
  changeGroup(id, change) {
    return this.ask('PATCH', `api/v1/destination-groups/${encodeURIComponent(id)}`, change);
  }

  /** Its destinations stay. @param {string} id */
  async removeGroup(id) {
    await this.ask('DELETE', `api/v1/destination-groups/${encodeURIComponent(id)}`);
  }

  /**
   * Starts the pushes of a group, after a check of all of them.
   *
   * @param {string} streamName
   * @param {string} groupId
   * @param {{ check?: boolean }} [options]
   * @returns {Promise<GroupStart[]>}
   */
  goLive(streamName, groupId, options = {}) {
    return this.ask('POST', 'rest-api/push/startup', { streamName, groupId, ...options });
  }

  /**
   * Checks the destinations of a group without starting them.
   *
   * @param {string} streamName
   * @param {string} groupId
   * @returns {Promise<GroupCheck[]>}
   */
  check(streamName, groupId) {
    return this.ask('POST', 'rest-api/push/check', { streamName, groupId });
  }

  /**
   * Ends the pushes that were started with a group.
   *
   * @param {string} streamName
   * @param {string} groupId
   */
  async end(streamName, groupId) {
    await this.ask('POST', 'rest-api/push/terminate', { streamName, groupId });
  }
}
