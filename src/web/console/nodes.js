import { RestError, request } from '../client/index.js';
import { urlOf } from './base.js';
import { element } from './dom.js';

/** The nodes of a cluster, with their load and their streams. Served by managers only. */

/** The same as on the console's first page. */
const STORAGE_KEY = 'webrtc-transponder.api-key';
const REFRESH_MS = 1000;

/**
 * @typedef {object} Node an entry of `/api/v1/nodes`, as far as the page uses it
 * @property {string} id
 * @property {string} url
 * @property {string} region
 * @property {string} state
 * @property {string} version
 * @property {number} capacity
 * @property {number} publications
 * @property {number} pushes
 * @property {number} encoders
 * @property {number} cpu
 * @property {boolean} overloaded
 * @property {string} drain
 * @property {number} toMove
 *
 * @typedef {object} Stream an entry of `/api/v1/streams` of a manager
 * @property {string} name
 * @property {string} status
 * @property {number} transponders
 * @property {string} node
 */

const list = element('nodes', HTMLElement);
const state = element('state', HTMLElement);
const form = element('access', HTMLFormElement);
const field = element('api-key', HTMLInputElement);

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

/**
 * @param {string} tag
 * @param {string} text
 * @param {string} [className]
 */
function add(tag, text, className = '') {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/**
 * @param {Node} node
 * @param {readonly Stream[]} streams
 */
function card(node, streams) {
  const { id, url, region, capacity, publications, pushes, encoders, cpu, version } = node;
  const section = add('section', '', 'card');
  const title = add('h2', id);
  title.id = `node-${id}`;
  section.setAttribute('aria-labelledby', title.id);
  const left = `${node.toMove} ${node.toMove === 1 ? 'stream' : 'streams'} to move`;
  const progress = { moving: left, blocked: `${left}, but no other node has room` }[node.drain] ?? '';
  const condition = [node.state, node.overloaded && 'overloaded', progress].filter(Boolean).join(', ');
  section.append(
    title,
    add('p', [condition, region, url, `version ${version}`].filter(Boolean).join(' · '), 'state'),
    add(
      'p',
      `${publications} of ${capacity} publications, ${pushes} pushes, ${encoders} encoders, ${Math.round(cpu * 100)} % CPU`,
    ),
  );
  const names = add('ul', '');
  for (const { name, status, transponders } of streams)
    names.append(add('li', `${name} (${status}, ${transponders} ${transponders === 1 ? 'push' : 'pushes'})`));
  if (streams.length > 0) section.append(names);
  if (node.state === 'in-service') {
    const drain = add('button', 'Drain');
    drain.setAttribute('aria-label', `Drain ${id}: its streams move to other nodes, and its process ends`);
    drain.addEventListener('click', () => void drainNode(id));
    section.append(drain);
  }
  return section;
}

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
    state.textContent = 'The manager requires a key.';
  } else state.textContent = error instanceof Error ? error.message : String(error);
}

/** What is shown, so that a page that has not changed keeps its focus. */
let shown = '';

async function refresh() {
  try {
    const [nodes, streams] = await Promise.all([
      /** @type {Promise<Node[]>} */ (ask('/api/v1/nodes')),
      /** @type {Promise<Stream[]>} */ (ask('/api/v1/streams')),
    ]);
    const now = JSON.stringify([nodes, streams]);
    if (now === shown) return;
    shown = now;
    state.textContent = `${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}, ${streams.length} ${streams.length === 1 ? 'stream' : 'streams'}`;
    list.replaceChildren(
      ...nodes.map((node) =>
        card(
          node,
          streams.filter((stream) => stream.node === node.id),
        ),
      ),
    );
  } catch (error) {
    show(error);
  }
}

await refresh();
setInterval(() => {
  if (!document.hidden && form.hidden) void refresh();
}, REFRESH_MS);
