import { useEffect, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { urlOf } from '../base.js';
import { byteCount, visible } from '../text.js';
import { streamLink, timeOf } from './format.js';

/** Recordings that are shown. */
const LIMIT = 100;
const STATES = { recording: 'Recording', finishing: 'Finishing', complete: 'Complete', failed: 'Failed' };
const TONES = { recording: 'good', finishing: 'waiting', complete: 'plain', failed: 'bad' };

/** @typedef {import('../recording-list.js').Recording & { stream: string }} Recording */

/** The recordings of all streams. @param {import('./main.js').PageProps} props */
export function RecordingsPage({ access, feed }) {
  if (feed.state.value !== 'open') return null;
  return html`<section class="card" aria-label="Recordings"><${Recordings} access=${access} /></section>`;
}

/**
 * The latest recordings.
 *
 * @param {{ access: import('../access.js').Access, stream?: string }} props without a stream: of all of them
 */
export function Recordings({ access, stream }) {
  const [recordings, setRecordings] = useState(/** @type {readonly Recording[] | undefined} */ (undefined));
  const [error, setError] = useState('');
  useEffect(() => {
    const query = new URLSearchParams({ limit: String(LIMIT), ...(stream !== undefined && { stream }) });
    access.ask(`/api/v1/recordings?${query}`).then(
      (answer) => setRecordings(/** @type {{ recordings: Recording[] }} */ (answer).recordings),
      (failure) => setError(failure.message),
    );
  }, [access, stream]);
  const urlOfFile = (/** @type {string} */ id) => {
    const url = new URL(urlOf(`/api/v1/recordings/${id}/file`));
    // A link cannot send headers.
    if (access.pushes.apiKey) url.searchParams.set('accessToken', access.pushes.apiKey);
    return url.href;
  };
  if (error) return html`<p class="error" role="alert">${error}</p>`;
  if (recordings?.length === 0) return html`<p class="hint">Nothing has been recorded.</p>`;
  return html`<ul class="timeline">
    ${recordings?.map((each) => {
      const details = [`${Math.round(each.durationMs / 1000)} s`, byteCount(each.bytes), visible(each.reason)];
      const file = visible(each.file);
      return html`<li key=${each.id}>
        <time datetime=${each.startedAt}>${timeOf(each.startedAt)}</time>
        <span>
          <span class="pill" data-state=${TONES[each.state]}>${STATES[each.state]}</span>${' '}
          ${each.state === 'complete' ? html`<a href=${urlOfFile(each.id)}>${file}</a>` : file}
          ${` · ${details.filter(Boolean).join(' · ')}`}
          ${stream === undefined && html`${' · '}<a href=${streamLink(each.stream)}>${visible(each.stream)}</a>`}
        </span>
      </li>`;
    })}
  </ul>`;
}
