import { create } from './dom.js';
import { visible } from './text.js';

/** @type {Record<string, readonly [state: string, word: string]>} */
const LEVELS = { ok: ['good', 'OK'], warning: ['warn', 'Warning'], error: ['bad', 'Problem'] };

/**
 * The name of a check in words: `backup.keyFrameInterval` is "Backup key frame interval".
 *
 * @param {string} check
 * @returns {string}
 */
export function checkName(check) {
  const words = check
    .replace(/[.-]/g, ' ')
    .replace(/[a-z](?=[A-Z])/g, '$& ')
    .toLowerCase()
    .replace(/\b(?:dns|tcp|tls|rtmps?)\b/g, (name) => name.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * What was measured, the rule with its source, and what to do.
 *
 * @param {Omit<import('../client/wire.js').Verdict, 'level'> & { level: 'ok' | 'warning' | 'error' }} verdict
 */
export function verdictItem({ check, level, measured, rule, source, remedy }) {
  const [state, word] = LEVELS[level] ?? ['warn', level];
  return create(
    'li',
    {},
    create('span', { class: 'pill', 'data-state': state }, word),
    create('strong', {}, checkName(visible(check))),
    ` ${visible(measured)}`,
    ...(rule
      ? [create('span', { class: 'hint' }, ` Rule: ${visible(rule)}${source ? ` (${visible(source)})` : ''}`)]
      : []),
    ...(remedy ? [create('span', { class: 'remedy' }, ` ${visible(remedy)}`)] : []),
  );
}
