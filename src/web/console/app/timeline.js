import { html } from 'htm/preact';
import { visible } from '../text.js';
import { streamLink, timeOf } from './format.js';

/** @typedef {import('./live-feed.js').TimelineEvent} TimelineEvent */

/** @type {Record<string, readonly [state: string, word: string]>} */
export const EVENT_LEVELS = {
  info: ['plain', 'Note'],
  good: ['good', 'Good'],
  warning: ['waiting', 'Warning'],
  error: ['bad', 'Error'],
};
const SHOWN = 100;

/**
 * What has happened, the latest first.
 *
 * @param {{ events: readonly TimelineEvent[], hasStreams?: boolean }} props
 */
export function Timeline({ events, hasStreams = false }) {
  return html`<ol class="timeline">
    ${events
      .slice(-SHOWN)
      .reverse()
      .map(({ id, node, at, level, text, stream, room }) => {
        const [state, word] = EVENT_LEVELS[level] ?? ['plain', level];
        return html`<li key=${`${node ?? ''} ${id}`}>
          <time datetime=${at}>${timeOf(at)}</time>
          <span>
            <span class="pill" data-state=${state}>${word}</span>
            ${hasStreams && stream && html` <a href=${streamLink(stream)}>${visible(stream)}</a>`}
            ${hasStreams && !stream && room && ` ${visible(room)}`} ${` ${visible(text)}`}
          </span>
        </li>`;
      })}
  </ol>`;
}
