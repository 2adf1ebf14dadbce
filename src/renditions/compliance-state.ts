/** Decides when a stream is re-encoded because it breaks rules. Pure. */

/** The stream must break a rule for this time before it is re-encoded, in milliseconds. */
export const ENCODE_AFTER_MS = 3000;
/** The stream must keep all rules for this time before it is passed through again. */
export const PASS_AFTER_MS = 60_000;
/** After an encoder could not be had, or has failed, the next one is tried after this time. */
export const TRY_AGAIN_MS = 30_000;

export type ComplianceState =
  | {
      readonly name: 'passing';
      /** The rules that are broken, and since when. */
      readonly because: readonly string[];
      readonly sinceMs?: number;
      /** No encoder is tried before this time. */
      readonly notBeforeMs?: number;
    }
  | {
      readonly name: 'encoding';
      /** The rules that were broken when it began, or last. */
      readonly because: readonly string[];
      /** Since when all rules are kept. */
      readonly keptSinceMs?: number;
    };

export type ComplianceEvent =
  /** The rules that the stream of the publisher breaks, and that re-encoding mends. */
  | { readonly type: 'judged'; readonly broken: readonly string[]; readonly nowMs: number }
  /** The stream cannot be judged: the publisher is away, or has just come. */
  | { readonly type: 'paused' }
  | { readonly type: 'encoder-failed'; readonly nowMs: number };

export type ComplianceEffect = 'encode' | 'pass';

export const INITIAL_COMPLIANCE: ComplianceState = { name: 'passing', because: [] };

interface Step {
  readonly state: ComplianceState;
  readonly effect?: ComplianceEffect;
}

export function comply(state: ComplianceState, event: ComplianceEvent): Step {
  switch (event.type) {
    case 'judged':
      return state.name === 'passing'
        ? judgedPassing(state, event.broken, event.nowMs)
        : judgedEncoding(state, event.broken, event.nowMs);
    case 'paused': {
      if (state.name === 'encoding') return { state: { name: 'encoding', because: state.because } };
      const { notBeforeMs } = state;
      return { state: { ...INITIAL_COMPLIANCE, ...(notBeforeMs !== undefined && { notBeforeMs }) } };
    }
    case 'encoder-failed':
      if (state.name === 'passing') return { state };
      return {
        state: { name: 'passing', because: state.because, notBeforeMs: event.nowMs + TRY_AGAIN_MS },
        effect: 'pass',
      };
    default:
      return event satisfies never;
  }
}

function judgedPassing(
  { sinceMs = Infinity, notBeforeMs }: Extract<ComplianceState, { name: 'passing' }>,
  broken: readonly string[],
  nowMs: number,
): Step {
  const blocked = notBeforeMs !== undefined && nowMs < notBeforeMs;
  const kept = blocked ? { notBeforeMs } : {};
  if (broken.length === 0) return { state: { name: 'passing', because: [], ...kept } };
  const since = Math.min(sinceMs, nowMs);
  if (blocked || nowMs - since < ENCODE_AFTER_MS)
    return { state: { name: 'passing', because: broken, sinceMs: since, ...kept } };
  return { state: { name: 'encoding', because: broken }, effect: 'encode' };
}

function judgedEncoding(
  { because, keptSinceMs }: Extract<ComplianceState, { name: 'encoding' }>,
  broken: readonly string[],
  nowMs: number,
): Step {
  if (broken.length > 0) return { state: { name: 'encoding', because: broken } };
  const since = keptSinceMs ?? nowMs;
  if (nowMs - since < PASS_AFTER_MS) return { state: { name: 'encoding', because, keptSinceMs: since } };
  return { state: INITIAL_COMPLIANCE, effect: 'pass' };
}
