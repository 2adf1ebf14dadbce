import type { PushWarning, Verdict } from '../../../views/push-view.ts';

/** Decides when broken rules become warnings. Pure. */

/** A rule must be broken for this time, in milliseconds. */
export const WARN_AFTER_MS = 10_000;

interface Breach {
  readonly sinceMs: number;
  readonly since: Date;
  readonly verdict: Verdict;
  readonly raised: boolean;
}

/** The breaches by check. */
export type WatchState = ReadonlyMap<string, Breach>;

export type WatchEvent =
  /** The stream was judged: one verdict for each check. */
  | { readonly type: 'judged'; readonly verdicts: readonly Verdict[]; readonly nowMs: number; readonly date: Date }
  /** Nothing is to be judged: the publisher is away, or the push is not connected. */
  | { readonly type: 'paused' };

export type WatchEffect =
  { readonly type: 'raise'; readonly warning: PushWarning } | { readonly type: 'clear'; readonly check: string };

export const NO_BREACHES: WatchState = new Map();

export function watch(state: WatchState, event: WatchEvent): { state: WatchState; effects: WatchEffect[] } {
  switch (event.type) {
    case 'paused': {
      // Warnings stay until they are known to be over; what was not yet a warning begins again.
      const raised = [...state].filter(([, { raised }]) => raised);
      return { state: new Map(raised), effects: [] };
    }
    case 'judged':
      return judged(state, event);
    default:
      return event satisfies never;
  }
}

function judged(
  state: WatchState,
  { verdicts, nowMs, date }: WatchEvent & { type: 'judged' },
): { state: WatchState; effects: WatchEffect[] } {
  const next = new Map<string, Breach>();
  const effects: WatchEffect[] = [];
  for (const verdict of verdicts) {
    if (verdict.level === 'ok') continue;
    const before = state.get(verdict.check);
    const { sinceMs, since } = before ?? { sinceMs: nowMs, since: date };
    const isDue = nowMs - sinceMs >= dueAfter(verdict);
    const breach = { sinceMs, since, verdict, raised: before?.raised === true || isDue };
    next.set(verdict.check, breach);
    // Again when a recommendation that was broken becomes a hard limit that is broken.
    const worsened = before?.raised === true && before.verdict.level === 'warning' && verdict.level === 'error';
    if ((breach.raised && before?.raised !== true) || worsened)
      effects.push({ type: 'raise', warning: warningOf(breach) });
  }
  for (const [check, { raised }] of state) if (raised && !next.has(check)) effects.push({ type: 'clear', check });
  return { state: next, effects };
}

/** The length of a session is known exactly. */
const dueAfter = ({ check }: Verdict): number => (check === 'sessionLength' ? 0 : WARN_AFTER_MS);

/** The warnings, with the latest measured values. */
export const warningsOf = (state: WatchState): PushWarning[] =>
  [...state.values()].filter(({ raised }) => raised).map(warningOf);

function warningOf({ since, verdict }: Breach): PushWarning {
  return { ...verdict, level: verdict.level === 'error' ? 'error' : 'warning', since: since.toISOString() };
}
