import { CallCard, endedCall } from './call-card.js';
import { busy, element, say } from './dom.js';
import { PolledPage } from './polled-page.js';
import { Rows } from './rows.js';
import { counted } from './text.js';

/** Telephone calls: those that run, with what can be done with them, and those that are over. */

/** Calls that are over and are shown. */
const ENDED_LIMIT = 50;

/** @typedef {import('./call-card.js').CallView} CallView */

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

async function load() {
  const [calls, ended] = /** @type {[CallView[], CallView[]]} */ (
    await Promise.all([page.ask('/api/v1/calls'), page.ask('/api/v1/calls?ended=true')])
  );
  running.show(calls);
  over.show(ended.slice(-ENDED_LIMIT).reverse());
  say(element('state', HTMLElement), calls.length === 0 ? 'No call is running.' : counted(calls.length, 'call'));
  element('ended', HTMLElement).hidden = ended.length === 0;
  element('ended-count', HTMLElement).textContent = String(ended.length);
}

await page.start();
