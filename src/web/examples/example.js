import { ClientError, Session } from '../client/index.js';
import { webSocketUrl } from '../console/base.js';

/** What the examples have in common: the address of the gateway, the form, and errors in words. */

/** @param {string} id @returns {any} */
export const element = (id) => document.getElementById(id);
/** @param {string} id @returns {string} */
export const valueOf = (id) => element(id).value;
/** @param {string} text */
export const say = (text) => (element('state').textContent = text);

/** @type {Session | undefined} */
let session;

/** The address of the gateway that has served the page. A page of another server writes it instead. */
export async function gatewayUrl() {
  return webSocketUrl(await (await fetch('../console/config.json')).json());
}

export async function connect() {
  session = await Session.connect(await gatewayUrl(), { token: valueOf('key') || undefined });
  return session;
}

/** @param {unknown} error */
function show(error) {
  if (!(error instanceof ClientError)) throw error;
  const { code, message, remedy } = error;
  element('error').textContent = `${code}: ${message}${message.endsWith(remedy) ? '' : ` ${remedy}`}`;
}

/**
 * Runs an example: the button of the form starts it, "Stop" ends it.
 *
 * @param {() => Promise<() => unknown>} start returns what ends it
 */
export function run(start) {
  const [form, stop] = [element('form'), element('stop')];
  const button = form.querySelector('button');
  form.addEventListener('submit', async (/** @type {Event} */ event) => {
    event.preventDefault();
    element('error').textContent = '';
    button.disabled = true;
    try {
      const end = await start();
      stop.onclick = async () => {
        stop.disabled = true;
        await end();
        say('Stopped');
        button.disabled = false;
      };
      stop.disabled = false;
    } catch (error) {
      session?.close();
      say('');
      button.disabled = false;
      show(error);
    }
  });
}
