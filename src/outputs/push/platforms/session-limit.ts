import type { Platform } from './catalogue.ts';
import { sourceText, verdict } from './verdict.ts';
import type { Verdict } from '../../../views/push-view.ts';

/** How long before the end of a session it is announced. */
const NOTICE_MS = 3_600_000;
const HOUR_MS = 3_600_000;

/** The verdict on the length of a session, for platforms that limit it. */
export function judgeSession(platform: Platform, pushedMs: number): Verdict[] {
  const rule = platform.rules.find(({ check }) => check === 'sessionLength');
  if (rule?.check !== 'sessionLength' || rule.max === undefined) return [];
  const isNear = pushedMs >= rule.max * HOUR_MS - NOTICE_MS;
  const broken = rule.limit === 'hard' ? 'error' : 'warning';
  return [
    verdict('sessionLength', isNear ? broken : 'ok', `${(pushedMs / HOUR_MS).toFixed(1)} h`, {
      rule: `at most ${rule.max} h (${rule.limit})`,
      source: sourceText(rule.from),
      remedy: isNear ? `The platform ends or cuts a session of ${rule.max} h: start a new one before.` : '',
    }),
  ];
}
