import { RestError, request } from '../client/index.js';
import { urlOf } from './base.js';
import { element, say } from './dom.js';
import { counted, RoomCard } from './room-card.js';
import { Rows } from './rows.js';

/** The rooms with their members and shared objects. */

/** The same as on the console's first page. */
const STORAGE_KEY = 'webrtc-transponder.api-key';
const REFRESH_MS = 1000;
/** Rooms that are shown. */
const LIMIT = 100;

/** @typedef {import('./room-card.js').RoomSummary} RoomSummary */

const state = element('state', HTMLElement);
const failure = element('error', HTMLElement);
const form = element('access', HTMLFormElement);
const field = element('api-key', HTMLInputElement);
const prefix = element('prefix', HTMLInputElement);

let key = sessionStorage.getItem(STORAGE_KEY) ?? undefined;

form.addEventListener('submit', (event) => {
  event.preventDefault();
  key = field.value;
  if (element('keep-key', HTMLInputElement).checked) sessionStorage.setItem(STORAGE_KEY, key);
  field.value = '';
  form.hidden = true;
  void refresh();
});
prefix.addEventListener('input', () => void refresh());

/**
 * @param {string} path below `/api/v1/rooms`
 * @param {string} [method]
 * @param {object} [body]
 */
const ask = (path, method = 'GET', body) =>
  request(
    urlOf(`/api/v1/rooms${path}`),
    { method, ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) },
    key,
  );

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
        await refresh();
      },
      opened: () => void refresh(),
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

/** @param {unknown} error */
function show(error) {
  if (error instanceof RestError && error.status === 401) {
    sessionStorage.removeItem(STORAGE_KEY);
    if (form.hidden) {
      form.hidden = false;
      field.focus();
    }
  }
  say(failure, error instanceof Error ? error.message : String(error));
}

let loading = false;
let again = false;

/** Loads what is shown. A call while it is loading makes it load once more. */
async function refresh() {
  again = loading;
  if (loading) return;
  loading = true;
  try {
    await load();
    say(failure, '');
  } catch (error) {
    show(error);
  }
  loading = false;
  if (again) await refresh();
}

await refresh();
setInterval(() => {
  if (!document.hidden && form.hidden && !loading) void refresh();
}, REFRESH_MS);
