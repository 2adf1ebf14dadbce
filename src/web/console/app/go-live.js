import { useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { visible } from '../text.js';
import { useRequest } from './use-request.js';
import { LEVELS, Verdicts } from './verdicts.js';

/**
 * @typedef {object} Result of one destination of a group
 * @property {string} destinationId
 * @property {string} name
 * @property {readonly import('../../client/push-api.js').Verdict[]} verdicts
 * @property {string} [level] of a check
 * @property {'started' | 'running' | 'refused'} [status] of a start
 * @property {string} [reason]
 */

/** @type {Record<string, readonly [state: string, word: string]>} */
const STARTS = { started: ['good', 'Started'], running: ['good', 'Runs already'], refused: ['bad', 'Not started'] };

/** The pushes of a group, by the feed. @param {import('./live-feed.js').LiveFeed} feed @param {string} groupId */
export const pushesOf = (feed, groupId) =>
  [...feed.items.value.values()].filter(
    ({ entry: { value } }) => value.kind === 'push' && value.fields['groupId'] === groupId,
  );

/**
 * Checks a group of destinations for a stream, starts and ends it.
 *
 * @param {{ access: import('../access.js').Access, feed: import('./live-feed.js').LiveFeed,
 *   group: import('./saved.js').Group, stream: string }} props
 */
export function GoLive({ access, feed, group, stream }) {
  const { busy, error, run } = useRequest(access);
  const [results, setResults] = useState(/** @type {readonly Result[]} */ ([]));
  const actions = access.principal?.actions;
  const may = (/** @type {string} */ action) => actions?.includes(action) ?? true;
  const ask = (/** @type {string} */ method) =>
    access.ask(`${access.config.restBase}/push/${method}`, 'POST', { streamName: stream, groupId: group.id });
  const show = (/** @type {string} */ method) => () =>
    run(method, async () => setResults(/** @type {Result[]} */ (await ask(method))));
  const running = pushesOf(feed, group.id).filter(({ entry }) => entry.value.fields['sourceStreamName'] === stream);
  const end = () => run('terminate', async () => (await ask('terminate'), setResults([])));
  if (!may('push')) return null;
  const isIdle = stream !== '' && busy === '';
  return html`<div class="buttons">
      <button class="primary" disabled=${!isIdle} onClick=${show('startup')} aria-label=${`Go live with ${group.name}`}>
        ${busy === 'startup' ? 'Checking and starting…' : 'Go live'}
      </button>
      <button disabled=${!isIdle} onClick=${show('check')} aria-label=${`Check ${group.name}`}>
        ${busy === 'check' ? 'Checking…' : 'Check'}
      </button>
      ${
        may('control') &&
        html`<button
          class="danger"
          disabled=${!isIdle || running.length === 0}
          onClick=${end}
          aria-label=${`End ${group.name}`}
        >
          End
        </button>`
      }
    </div>
    <p class="error" role="alert">${error}</p>
    <div role="status">
      ${
        results.length > 0 &&
        html`<ul class="side-by-side" aria-label=${`What the check of ${group.name} found`}>
          ${results.map(({ destinationId, name, level, status, reason, verdicts }) => {
            const [state, word] = (status ? STARTS[status] : LEVELS[level ?? '']) ?? ['warn', ''];
            return html`<li key=${destinationId} class="push">
              <p><span class="pill" data-state=${state}>${word}</span> <strong>${visible(name)}</strong></p>
              ${reason && html`<p class="error">${visible(reason)}</p>`}
              <${Verdicts} verdicts=${verdicts} />
            </li>`;
          })}
        </ul>`
      }
    </div>`;
}
