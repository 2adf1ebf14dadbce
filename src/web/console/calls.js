import { CallCard, endedCall } from './call-card.js';
import { busy, element, say } from './dom.js';
import { PolledPage } from './polled-page.js';
import { RegistrationRow } from './registration-row.js';
import { Rows } from './rows.js';
import { counted } from './text.js';

/** Telephone calls: those that run, with what can be done with them, and those that are over; accounts at PBXs. */

/** Calls that are over and are shown. */
const ENDED_LIMIT = 50;

/** @typedef {import('./call-card.js').CallView} CallView */
/** @typedef {import('./registration-row.js').RegistrationView} RegistrationView */

const page = await PolledPage.open(load);
const form = element('dial', HTMLFormElement);
const callee = element('callee', HTMLInputElement);
const stream = element('stream', HTMLInputElement);
const dialError = element('dial-error', HTMLElement);

/**
 * @param {string} method of `/rest-api/call`
 * @param {object} body
 */
async function act(method, body) {
  await page.ask(`${page.access.config.restBase}/call/${method}`, 'POST', body);
  await page.refresh();
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  say(dialError, '');
  try {
    await busy(/** @type {HTMLButtonElement} */ (form.querySelector('button')), () =>
      act('startup', {
        callId: `console-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`,
        callee: callee.value.trim(),
        toStream: stream.value.trim(),
        hasAudio: true,
        hasVideo: element('video', HTMLInputElement).checked,
      }),
    );
  } catch (error) {
    say(dialError, /** @type {Error} */ (error).message);
  }
});

const keyOf = (/** @type {CallView} */ { callId, createdAt }) => `${callId} ${createdAt}`;
const running = new Rows(element('calls', HTMLElement), keyOf, (call) => new CallCard(call, act));
const over = new Rows(element('ended-calls', HTMLElement), keyOf, endedCall);
const accounts = new Rows(
  element('registrations', HTMLElement),
  (/** @type {RegistrationView} */ { account }) => account,
  (registration) => new RegistrationRow(registration),
);

async function load() {
  const [calls, ended, registrations] = /** @type {[CallView[], CallView[], RegistrationView[]]} */ (
    await Promise.all(['/calls', '/calls?ended=true', '/sip/registrations'].map((path) => page.ask(`/api/v1${path}`)))
  );
  running.show(calls);
  accounts.show(registrations);
  element('registrations-card', HTMLElement).hidden = registrations.length === 0;
  over.show(ended.slice(-ENDED_LIMIT).reverse());
  say(element('state', HTMLElement), calls.length === 0 ? 'No call is running.' : counted(calls.length, 'call'));
  element('ended', HTMLElement).hidden = ended.length === 0;
  element('ended-count', HTMLElement).textContent = String(ended.length);
}

await page.start();
