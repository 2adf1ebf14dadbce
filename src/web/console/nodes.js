import { RestError, request } from '../client/index.js';
import { urlOf } from './base.js';
import { element, say } from './dom.js';
import { NodeCard } from './node-card.js';

/** The nodes of a cluster, with their load and their streams. Served by managers only. */

/** The same as on the console's first page. */
const STORAGE_KEY = 'webrtc-transponder.api-key';
const REFRESH_MS = 1000;

const list = element('nodes', HTMLElement);
const state = element('state', HTMLElement);
const form = element('access', HTMLFormElement);
const field = element('api-key', HTMLInputElement);
/** @type {Map<string, NodeCard>} */
const cards = new Map();

form.addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(STORAGE_KEY, field.value);
  field.value = '';
  form.hidden = true;
  void refresh();
});

/**
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [init]
 */
const ask = (path, init = {}) => request(urlOf(path), init, sessionStorage.getItem(STORAGE_KEY) ?? undefined);

/** @param {string} id */
async function drainNode(id) {
  if (!confirm(`The streams of ${id} move to other nodes, and its process ends when none is left. Go on?`)) return;
  try {
    await ask(`/api/v1/nodes/${encodeURIComponent(id)}/drain`, { method: 'POST' });
    await refresh();
  } catch (error) {
    show(error);
  }
}

/** @param {unknown} error */
function show(error) {
  if (error instanceof RestError && error.status === 401) {
    if (form.hidden) {
      form.hidden = false;
      field.focus();
    }
    say(state, 'The manager requires a key.', 'warn');
  } else say(state, error instanceof Error ? error.message : String(error), 'bad');
}

/** @param {readonly import('./node-card.js').Node[]} nodes */
function cardsOf(nodes) {
  for (const id of cards.keys()) if (!nodes.some((node) => node.id === id)) cards.delete(id);
  for (const { id } of nodes) if (!cards.has(id)) cards.set(id, new NodeCard(id, () => drainNode(id)));
  return nodes.map(({ id }) => /** @type {NodeCard} */ (cards.get(id)));
}

async function refresh() {
  try {
    const [nodes, streams] = await Promise.all([
      /** @type {Promise<import('./node-card.js').Node[]>} */ (ask('/api/v1/nodes')),
      /** @type {Promise<import('./node-card.js').Stream[]>} */ (ask('/api/v1/streams')),
    ]);
    const shown = cardsOf(nodes);
    shown.forEach((card, index) =>
      card.show(
        /** @type {import('./node-card.js').Node} */ (nodes[index]),
        streams.filter(({ node }) => node === nodes[index]?.id),
      ),
    );
    // Moving an element takes its focus away.
    if (shown.length !== list.children.length || shown.some((card, index) => card.element !== list.children[index]))
      list.replaceChildren(...shown.map((card) => card.element));
    const [held, live] = [streams.filter(({ status }) => status !== 'live').length, streams.length];
    say(
      state,
      `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}, ${live} ${live === 1 ? 'stream' : 'streams'}${held > 0 ? `, ${held} of them held` : ''}`,
    );
  } catch (error) {
    show(error);
  }
}

await refresh();
setInterval(() => {
  if (!document.hidden && form.hidden) void refresh();
}, REFRESH_MS);
