import {
  fittingPartBytes,
  MAX_PART_BYTES,
  MAX_PARTS,
  partCount,
  partRange,
  type PartRange,
  type UploadedPart,
} from './part-plan.ts';

/**
 * The upload of one recording. Pure.
 *
 * `idle ⇄ working ⇄ delayed`, and in the end `stored` or `cancelled`. What is known about the file and the bucket
 * decides about the next step, so an upload continues after a restart where it was.
 */

export interface UploadFacts {
  readonly partBytes: number;
  /** Of the file: all complete fragments that are in it. */
  readonly bytes: number;
  /** The file does not change any more. */
  readonly ended: boolean;
  readonly uploadId?: string | undefined;
  /** Whether {@link parts} are in the bucket, and have the bytes of the file. Not known after a restart. */
  readonly checked: boolean;
  readonly parts: ReadonlyMap<number, UploadedPart>;
  /** Of the finished object, as the bucket answered. */
  readonly etag?: string | undefined;
  /** The bucket does not know the upload: it was finished before, or somebody has ended it. */
  readonly lost: boolean;
  /** The bucket refuses a part although it took others: it allows fewer than {@link MAX_PARTS}. */
  readonly needsLargerParts?: boolean;
  /** The object is there, with the right size and ETag. */
  readonly confirmed: boolean;
  /** The file is on the disk. */
  readonly local: boolean;
  /** The file is deleted after the object was confirmed. */
  readonly deleteLocal: boolean;
}

export type UploadStep =
  | { readonly type: 'begin'; readonly partBytes: number }
  /** Compares the parts with the bucket and with the file. */
  | { readonly type: 'check'; readonly uploadId: string }
  | { readonly type: 'part'; readonly uploadId: string; readonly range: PartRange }
  /** The file has more parts than allowed, or than the bucket takes: ends the upload, to begin another one with larger parts. */
  | { readonly type: 'restart'; readonly uploadId: string }
  | { readonly type: 'complete'; readonly uploadId: string; readonly parts: readonly UploadedPart[] }
  | { readonly type: 'confirm' }
  /** Deletes the file. */
  | { readonly type: 'release' };

/** What a step has found out. */
export type UploadResult =
  | { readonly type: 'begin'; readonly uploadId: string; readonly partBytes: number }
  | { readonly type: 'check'; readonly parts: readonly UploadedPart[] }
  | { readonly type: 'part'; readonly part: UploadedPart }
  | { readonly type: 'restart' }
  | { readonly type: 'complete'; readonly etag: string }
  | { readonly type: 'confirm' }
  | { readonly type: 'release' };

/**
 * `gone`: there is no such upload. `missing`: there is no such object. `differs`: it is another one than expected.
 * `argument`: something about the request is not allowed, for example the number of the part.
 */
export type UploadFailure = 'gone' | 'missing' | 'differs' | 'denied' | 'argument' | 'other';

export type UploadEvent =
  | { readonly type: 'grown'; readonly bytes: number }
  | { readonly type: 'ended'; readonly bytes: number }
  | { readonly type: 'succeeded'; readonly result: UploadResult }
  | { readonly type: 'failed'; readonly failure: UploadFailure }
  /** The delay after a failure is over. */
  | { readonly type: 'due' }
  | { readonly type: 'cancel' };

export type UploadEffect =
  | { readonly type: 'run'; readonly step: UploadStep }
  /** Before the next attempt. */
  | { readonly type: 'delay'; readonly failures: number }
  /** Ends the running step and the delay. */
  | { readonly type: 'stop' };

export interface UploadState {
  readonly status: 'idle' | 'working' | 'delayed' | 'stored' | 'cancelled';
  readonly facts: UploadFacts;
  /** Failures since the last success. */
  readonly failures: number;
}

export interface UploadTransition {
  readonly state: UploadState;
  readonly effects: readonly UploadEffect[];
}

/** The next state and its effects. Nothing happens to an upload that was stored or cancelled. */
export function nextUploadState(state: UploadState, event: UploadEvent): UploadTransition {
  const { status, facts } = state;
  if (status === 'stored' || status === 'cancelled') return stay(state);
  switch (event.type) {
    case 'grown':
      if (facts.ended) return stay(state);
      return learn(state, { ...facts, bytes: event.bytes });
    case 'ended':
      return learn(state, { ...facts, bytes: event.bytes, ended: true });
    case 'succeeded':
      if (status !== 'working') return stay(state);
      return proceed({ ...state, ...succeeded(state, event.result) });
    case 'failed':
      if (status !== 'working') return stay(state);
      return failed(state, event.failure);
    case 'due':
      return status === 'delayed' ? proceed(state) : stay(state);
    case 'cancel':
      return { state: { ...state, status: 'cancelled' }, effects: [{ type: 'stop' }] };
  }
}

const stay = (state: UploadState): UploadTransition => ({ state, effects: [] });

/** A running step goes on, and a delay too. */
function learn(state: UploadState, facts: UploadFacts): UploadTransition {
  const next = { ...state, facts };
  return state.status === 'idle' ? proceed(next) : stay(next);
}

function proceed(state: UploadState): UploadTransition {
  const { facts } = state;
  const step = nextStep(facts);
  if (step) return { state: { ...state, status: 'working' }, effects: [{ type: 'run', step }] };
  return stay({ ...state, status: facts.confirmed ? 'stored' : 'idle' });
}

function succeeded({ facts, failures }: UploadState, result: UploadResult): Pick<UploadState, 'facts' | 'failures'> {
  switch (result.type) {
    case 'begin': {
      const { uploadId, partBytes } = result;
      // Not yet a success: a bucket may begin uploads and take no part.
      return { facts: { ...without(facts), uploadId, partBytes }, failures };
    }
    case 'check':
      return { facts: { ...facts, checked: true, parts: byNumber(result.parts) }, failures };
    case 'part':
      return { facts: { ...facts, parts: byNumber([...facts.parts.values(), result.part]) }, failures: 0 };
    case 'restart': {
      const partBytes = facts.needsLargerParts ? facts.partBytes * 2 : facts.partBytes;
      return { facts: { ...without(facts), partBytes, needsLargerParts: false }, failures };
    }
    case 'complete':
      return { facts: { ...facts, etag: result.etag }, failures: 0 };
    case 'confirm':
      return { facts: { ...facts, confirmed: true }, failures: 0 };
    case 'release':
      return { facts: { ...facts, local: false }, failures: 0 };
  }
}

function failed(state: UploadState, failure: UploadFailure): UploadTransition {
  const { facts } = state;
  // Without the right to list a bucket, S3 denies what is not there.
  if (facts.lost && (failure === 'missing' || failure === 'differs' || failure === 'denied'))
    return proceed({ ...state, facts: without(facts) });
  const failures = state.failures + 1;
  return {
    state: { status: 'delayed', failures, facts: factsAfter(failure, facts) },
    effects: [{ type: 'delay', failures }],
  };
}

function factsAfter(failure: UploadFailure, facts: UploadFacts): UploadFacts {
  // Only a file that has ended can have been finished.
  if (failure === 'gone') return facts.ended ? { ...facts, lost: true } : without(facts);
  // Somebody has deleted the object before it was confirmed.
  if (failure === 'missing') return without(facts);
  if (failure === 'argument' && facts.parts.size > 0 && facts.partBytes * 2 <= MAX_PART_BYTES)
    return { ...facts, needsLargerParts: true };
  return facts;
}

/** As before the first step. */
const without = (facts: UploadFacts): UploadFacts => ({
  ...facts,
  uploadId: undefined,
  etag: undefined,
  parts: new Map(),
  checked: true,
  lost: false,
});

const byNumber = (parts: readonly UploadedPart[]): ReadonlyMap<number, UploadedPart> =>
  new Map(parts.map((part) => [part.number, part]));

function nextStep(facts: UploadFacts): UploadStep | undefined {
  const { bytes, ended, uploadId, checked, etag, lost, confirmed, local, deleteLocal, partBytes } = facts;
  if (confirmed) return deleteLocal && local ? { type: 'release' } : undefined;
  if (etag !== undefined || lost) return { type: 'confirm' };
  const number = nextPart(facts);
  if (uploadId === undefined)
    return number === undefined ? undefined : { type: 'begin', partBytes: fittingPartBytes(bytes, partBytes) };
  if (facts.needsLargerParts || (ended && partCount(bytes, partBytes) > MAX_PARTS))
    return { type: 'restart', uploadId };
  if (!checked) return { type: 'check', uploadId };
  if (number !== undefined) return { type: 'part', uploadId, range: partRange(number, partBytes, bytes) };
  return ended ? { type: 'complete', uploadId, parts: partsInOrder(facts) } : undefined;
}

/** The first part is the last one that is uploaded, because the beginning of a file changes when it ends. */
function nextPart({ bytes, ended, partBytes, parts }: UploadFacts): number | undefined {
  const count = Math.min(MAX_PARTS, ended ? partCount(bytes, partBytes) : Math.floor(bytes / partBytes));
  const isMissing = (number: number): boolean => parts.get(number)?.bytes !== partRange(number, partBytes, bytes).bytes;
  for (let number = 2; number <= count; number++) if (isMissing(number)) return number;
  return ended && count > 0 && isMissing(1) ? 1 : undefined;
}

function partsInOrder({ parts, bytes, partBytes }: UploadFacts): UploadedPart[] {
  return Array.from({ length: partCount(bytes, partBytes) }, (_, index) => parts.get(index + 1)!);
}
