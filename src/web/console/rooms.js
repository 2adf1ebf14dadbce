import { RestError } from '../client/index.js';
import { element, say } from './dom.js';
import { PolledPage } from './polled-page.js';
import { RoomCard } from './room-card.js';
import { Rows } from './rows.js';
import { counted } from './text.js';

/** The rooms with their members and shared objects. */

/** Rooms that are shown. */
const LIMIT = 100;

/** @typedef {import('./room-card.js').RoomSummary} RoomSummary */

const state = element('state', HTMLElement);
const prefix = element('prefix', HTMLInputElement);
// What was typed while the page was loaded stays.
prefix.value = new URLSearchParams(location.search).get('prefix') ?? prefix.value;
const page = await PolledPage.open(load);

prefix.addEventListener('input', () => void page.refresh());

/**
 * @param {string} path below `/api/v1/rooms`
 * @param {string} [method]
 * @param {object} [body]
 */
const ask = (path, method, body) => page.ask(`/api/v1/rooms${path}`, method, body);

/** The cards that are shown, by the paths of their rooms. @type {Map<string, RoomCard>} */
let cards = new Map();
const rows = new Rows(
  element('rooms', HTMLElement),
  (/** @type {RoomSummary} */ { scope }) => scope,
  ({ scope }) => {
    const path = `/${encodeURIComponent(scope)}`;
    const card = new RoomCard(scope, {
      act: async (method, below, body) => {
        await ask(path + below, method, body);
        await page.refresh();
      },
      opened: () => void page.refresh(),
    });
    cards.set(scope, card);
    return card;
  },
);

async function load() {
  const query = new URLSearchParams({ limit: String(LIMIT), prefix: prefix.value });
  const { rooms, next } = /** @type {{ rooms: RoomSummary[], next: string | null }} */ (await ask(`?${query}`));
  rows.show(rooms);
  cards = new Map([...cards].filter(([, { element: shown }]) => shown.isConnected));
  const members = rooms.reduce((sum, room) => sum + room.members, 0);
  say(
    state,
    next === null
      ? `${counted(rooms.length, 'room')}, ${counted(members, 'member')}`
      : `The first ${LIMIT} rooms. Others are found by the beginning of their path.`,
  );
  const open = [...cards].filter(([, card]) => card.open);
  await Promise.all(
    open.map(async ([scope, card]) => {
      try {
        card.show(/** @type {import('./room-card.js').Room} */ (await ask(`/${encodeURIComponent(scope)}`)));
      } catch (error) {
        // It is gone: the next list says so.
        if (!(error instanceof RestError) || error.status !== 404) throw error;
      }
    }),
  );
}

await page.start();
