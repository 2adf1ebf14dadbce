import { html } from 'htm/preact';
import { visible } from '../text.js';
import { checkName } from '../verdicts.js';

/** @type {Record<string, readonly [state: string, word: string]>} */
export const LEVELS = { ok: ['good', 'OK'], warning: ['warn', 'Warning'], error: ['bad', 'Problem'] };

/**
 * What a check has found: what is wrong first, the rest behind a click.
 *
 * @param {{ verdicts: readonly import('../../client/push-api.js').Verdict[] }} props
 */
export function Verdicts({ verdicts }) {
  const wrong = verdicts.filter(({ level }) => level !== 'ok');
  const right = verdicts.filter(({ level }) => level === 'ok');
  return html`${
    wrong.length > 0 &&
    html`<ul class="verdicts">
      ${wrong.map((each) => html`<${Verdict} verdict=${each} />`)}
    </ul>`
  }
  ${
    right.length > 0 &&
    html`<details>
      <summary>${right.length} OK</summary>
      <ul class="verdicts">
        ${right.map((each) => html`<${Verdict} verdict=${each} />`)}
      </ul>
    </details>`
  }`;
}

/** @param {{ verdict: import('../../client/push-api.js').Verdict }} props */
function Verdict({ verdict: { check, level, measured, rule, source, remedy } }) {
  const [state, word] = LEVELS[level] ?? ['warn', level];
  const asked = rule && `Rule: ${visible(rule)}${source ? ` (${visible(source)})` : ''}`;
  return html`<li>
    <span class="pill" data-state=${state}>${word}</span>
    <strong>${checkName(visible(check))}</strong> ${` ${visible(measured)} `}<span class="hint">${asked}</span>
    ${remedy && html`<span class="remedy">${visible(remedy)}</span>`}
  </li>`;
}
