import { batch, signal } from '@preact/signals';
import { RestError } from '../../client/index.js';
import { urlOf } from '../base.js';
import { readEvents } from './read-events.js';

/**
 * @typedef {object} Entry a stream or a push
 * @property {'stream' | 'push'} kind
 * @property {string} key the name of the stream, the id of the push
 * @property {string} [node] of a cluster
 * @property {Record<string, any>} fields
 * @property {Record<string, number>} numbers
 *
 * @typedef {object} Sample the numbers at one time
 * @property {number} at seconds
 * @property {Record<string, number>} numbers
 *
 * @typedef {object} Followed an entry that is still there
 * @property {string} id
 * @property {import('@preact/signals').Signal<Entry>} entry
 * @property {Sample[]} samples of the last ten minutes
 *
 * @typedef {object} TimelineEvent
 * @property {number} id
 * @property {string} at
 * @property {string} type
 * @property {'info' | 'good' | 'warning' | 'error'} level
 * @property {string} text
 * @property {string} [stream]
 * @property {string} [room]
 * @property {string} [node]
 *
 * @typedef {object} Message the data of an event
 * @property {string} [node]
 * @property {any[]} [items]
 * @property {any[]} [gone]
 * @property {Record<string, readonly string[]>} [names]
 * @property {TimelineEvent[]} [timeline]
 * @property {boolean} [resumed]
 */

const KEPT_SECONDS = 600;
/** Between two samples: a page with a thousand pushes has to keep them all. */
const SAMPLE_SECONDS = 2;
const KEPT_EVENTS = 500;
const [RETRY_MS, LONGEST_RETRY_MS] = [1000, 10_000];
/** The gateway sends a sign of life every 15 seconds. */
const SILENCE_MS = 40_000;

/** What the gateway has now, over one connection, and what has happened. */
export class LiveFeed {
  /** @type {import('@preact/signals').Signal<'connecting' | 'open' | 'lost' | 'refused'>} */
  state = signal('connecting');
  /** Streams and pushes. Another map when one comes or goes. @type {import('@preact/signals').Signal<ReadonlyMap<string, Followed>>} */
  items = signal(new Map());
  /** The oldest first. @type {import('@preact/signals').Signal<readonly TimelineEvent[]>} */
  timeline = signal([]);
  /** When the last message came. */
  heardAt = signal(new Date());
  #access;
  /** @type {Record<string, readonly string[]>} */
  #names = {};
  #lastId = '';
  /** @type {AbortController | undefined} */
  #connection;

  /** @param {import('../access.js').Access} access */
  constructor(access) {
    this.#access = access;
  }

  /** Connects, and again when the connection is lost. Ends the connection before. */
  async follow() {
    this.close();
    const connection = (this.#connection = new AbortController());
    for (let wait = RETRY_MS; !connection.signal.aborted; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      try {
        await this.#access.showRights();
        await this.#read(connection.signal, () => (wait = RETRY_MS));
        if (!connection.signal.aborted) this.state.value = 'lost';
      } catch (error) {
        if (connection.signal.aborted) return;
        const isRefused = this.#access.failed(error);
        this.state.value = isRefused ? 'refused' : 'lost';
        if (isRefused) return;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  /** Ends the connection. Idempotent. */
  close() {
    this.#connection?.abort();
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => void} opened
   */
  async #read(signal, opened) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await fetch(urlOf('/api/v1/events'), {
        headers: { ...this.#access.headers, ...(this.#lastId && { 'last-event-id': this.#lastId }) },
        cache: 'no-store',
        signal: AbortSignal.any([signal, silence.signal]),
      });
      if (!response.ok || !response.body) {
        const { exception = 'UNKNOWN', message = response.statusText } = await response.json().catch(() => ({}));
        throw new RestError(response.status, exception, message);
      }
      for await (const { event, data, id } of readEvents(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        if (!event) continue;
        if (id) this.#lastId = id;
        opened();
        this.#access.connected();
        batch(() => this.#take(event, JSON.parse(data)));
      }
    } catch (error) {
      throw error instanceof RestError
        ? error
        : new RestError(0, 'DISCONNECTED', 'The connection to the gateway is lost.');
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param {string} event
   * @param {Message} message
   */
  #take(event, message) {
    const { node, items = [], gone = [] } = message;
    this.state.value = 'open';
    this.heardAt.value = new Date();
    if (event === 'event') return this.#addEvents([/** @type {any} */ (message)]);
    if (event === 'snapshot') {
      this.#names = message.names ?? this.#names;
      if (!message.resumed) this.timeline.value = this.timeline.value.filter((each) => each.node !== node);
      this.#addEvents((message.timeline ?? []).map((each) => ({ ...each, ...(node && { node }) })));
    }
    const now = new Map(this.items.value);
    const isOther = (/** @type {string} */ id) => {
      const entry = now.get(id)?.entry.value;
      return entry?.node !== node || items.some(({ kind, key }) => kind === entry?.kind && key === entry?.key);
    };
    // A snapshot, or the end of a node, leaves nothing of what was there.
    if (event === 'snapshot' || event === 'gone') for (const id of now.keys()) if (!isOther(id)) now.delete(id);
    for (const { kind, key } of gone) now.delete(idOf(node, kind, key));
    for (const { kind, key, fields, numbers } of items) this.#put(now, { node, kind, key, fields, numbers });
    const before = this.items.value;
    if (now.size !== before.size || [...now.keys()].some((id) => !before.has(id))) this.items.value = now;
  }

  /**
   * @param {Map<string, Followed>} now
   * @param {{ node?: string, kind: 'stream' | 'push', key: string, fields?: object, numbers: number[] }} item
   */
  #put(now, { node, kind, key, fields, numbers }) {
    const id = idOf(node, kind, key);
    const known = now.get(id);
    const named = Object.fromEntries((this.#names[kind] ?? []).map((name, index) => [name, numbers[index] ?? 0]));
    const entry = { kind, key, node, fields: fields ?? known?.entry.value.fields ?? {}, numbers: named };
    const followed = known ?? { id, entry: signal(/** @type {Entry} */ (entry)), samples: [] };
    followed.entry.value = entry;
    keepSample(followed.samples, { at: Date.now() / 1000, numbers: named });
    now.set(id, followed);
  }

  /** @param {TimelineEvent[]} events */
  #addEvents(events) {
    if (events.length === 0) return;
    const all = [...this.timeline.value, ...events];
    this.timeline.value = all.sort((a, b) => Date.parse(a.at) - Date.parse(b.at)).slice(-KEPT_EVENTS);
  }
}

/**
 * The last sample is always the present one.
 *
 * @param {Sample[]} samples
 * @param {Sample} sample
 */
function keepSample(samples, sample) {
  const before = samples.at(-2);
  if (before && sample.at - before.at < SAMPLE_SECONDS) samples.pop();
  samples.push(sample);
  while ((samples[0]?.at ?? sample.at) < sample.at - KEPT_SECONDS) samples.shift();
}

/**
 * @param {string | undefined} node
 * @param {string} kind
 * @param {string} key
 */
const idOf = (node, kind, key) => [node ?? '', kind, key].join('\n');
