import { html } from 'htm/preact';
import { counted, visible } from '../text.js';
import { codecsOf, lostLately, protocolOf, streamLink, streamRate, timeOf } from './format.js';
import { Poster } from './poster.js';

/** @typedef {import('./live-feed.js').Followed} Followed */

/**
 * The word and the colour for how a stream is.
 *
 * @param {Record<string, any>} fields
 * @returns {readonly [state: string, word: string]}
 */
export function stateOf({ status, videoProblem, standby }) {
  if (status === 'held') return ['waiting', 'Publisher away'];
  if (videoProblem) return ['bad', 'Video problem'];
  return standby ? ['waiting', 'Standby'] : ['good', 'Live'];
}

/** @param {{ stream: Followed, pushes: readonly Followed[], access: import('../access.js').Access }} props */
export function StreamCard({ stream, pushes, access }) {
  const { key, node, fields, numbers } = stream.entry.value;
  const [state, word] = stateOf(fields);
  const lost = lostLately(stream.samples);
  const bad = pushes.filter(({ entry }) => ['retrying', 'standby'].includes(entry.value.fields['status'])).length;
  const push = pushes[0]?.entry.value;
  const size = fields['width'] ? `${fields['width']}×${fields['height']}` : '';
  const fps =
    push?.fields['status'] === 'pushing' && push.numbers['fps'] ? `${Math.round(push.numbers['fps'])} fps` : '';
  const count =
    bad > 0
      ? `${pushes.length - bad} of ${counted(pushes.length, 'push', 'pushes')}`
      : counted(pushes.length, 'push', 'pushes');
  const source = `${protocolOf(fields['protocol'])} · ${codecsOf(fields)}`;
  const now = `${counted(fields['viewers'], 'viewer')} · since ${timeOf(fields['startedAt'])}`;
  return html`<article class="card stream-card">
    <${Poster} name=${key} shown=${fields['status'] === 'live' && fields['videoCodec'] !== null} access=${access} />
    <div>
      <h2><a href=${streamLink(key)} title=${visible(key)}>${visible(key)}</a></h2>
      <p class="pills">
        <span class="pill" data-state=${state}>${word}</span>
        ${fields['recording'] && html`<span class="pill" data-state="bad">REC</span>`}
        ${pushes.length > 0 && html`<span class="pill" data-state=${bad > 0 ? 'waiting' : 'good'}>${count}</span>`}
      </p>
      <p class="numbers">
        <strong>${streamRate(numbers)}</strong>${[size, fps].filter(Boolean).map((each) => ` · ${each}`)}
      </p>
      <p class="hint" title=${source}>${source}${node && ` · ${node}`}</p>
      <p class="hint">${lost > 0 ? html`<span class="warn">${`${lost} packets lost in 10 s`}</span>` : now}</p>
    </div>
  </article>`;
}
