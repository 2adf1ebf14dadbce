import { element, say } from './dom.js';
import { NodeCard } from './node-card.js';
import { PolledPage } from './polled-page.js';
import { counted } from './text.js';

/** The nodes of a cluster, with their load and their streams. Served by managers only. */

const list = element('nodes', HTMLElement);
const state = element('state', HTMLElement);
const failure = element('error', HTMLElement);
/** @type {Map<string, NodeCard>} */
const cards = new Map();
const page = await PolledPage.open(load);

/** @param {string} id */
async function drainNode(id) {
  if (!confirm(`The streams of ${id} move to other nodes, and its process ends when none is left. Go on?`)) return;
  try {
    await page.ask(`/api/v1/nodes/${encodeURIComponent(id)}/drain`, 'POST');
    await page.refresh();
  } catch (error) {
    say(failure, /** @type {Error} */ (error).message);
  }
}

/** @param {readonly import('./node-card.js').Node[]} nodes */
function cardsOf(nodes) {
  for (const id of cards.keys()) if (!nodes.some((node) => node.id === id)) cards.delete(id);
  for (const { id } of nodes) if (!cards.has(id)) cards.set(id, new NodeCard(id, () => drainNode(id)));
  return nodes.map(({ id }) => /** @type {NodeCard} */ (cards.get(id)));
}

async function load() {
  const [nodes, streams] = /** @type {[import('./node-card.js').Node[], import('./node-card.js').Stream[]]} */ (
    await Promise.all([page.ask('/api/v1/nodes'), page.ask('/api/v1/streams')])
  );
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
  const held = streams.filter(({ status }) => status !== 'live').length;
  say(
    state,
    `${counted(nodes.length, 'node')}, ${counted(streams.length, 'stream')}${held > 0 ? `, ${held} of them held` : ''}`,
  );
}

await page.start();
