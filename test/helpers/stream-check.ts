import type { TrackKind } from '../../src/media/rtp/media-clock.ts';
import type { Sent } from './pipeline-simulation.ts';

export interface Window {
  readonly fromMs: number;
  readonly toMs?: number;
}

const inside = (sent: readonly Sent[], { fromMs, toMs = Infinity }: Window): Sent[] =>
  sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);

/** Audio minus video in milliseconds, at each frame: stream time minus capture time of each. */
export function offsets(sent: readonly Sent[], window: Window): number[] {
  const found: number[] = [];
  let audioMs: number | undefined;
  for (const { kind, streamMs, captureMs } of inside(sent, window)) {
    if (captureMs === undefined) continue;
    if (kind === 'audio') audioMs = streamMs - captureMs;
    else if (audioMs !== undefined) found.push(audioMs - (streamMs - captureMs));
  }
  return found;
}

export const worst = (values: readonly number[]): number =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * How far what was sent was furthest before what had been sent already, on either track. Silence is not counted: it
 * stands for audio that was waited for, on a track whose own timestamps are in order.
 */
export function furthestBack(sent: readonly Sent[], window: Window): number {
  let latestMs = -Infinity;
  let furthest = 0;
  for (const { streamMs, captureMs } of inside(sent, window)) {
    if (captureMs !== undefined) furthest = Math.max(furthest, latestMs - streamMs);
    latestMs = Math.max(latestMs, streamMs);
  }
  return furthest;
}

/** By how much the stream's time gained on the local clock within the window. */
export function gained(sent: readonly Sent[], kind: TrackKind, window: Window): number {
  const of = inside(sent, window).filter((item) => item.kind === kind);
  if (of.length === 0) return NaN;
  const [first, last] = [of[0]!, of.at(-1)!];
  return last.streamMs - first.streamMs - (last.atMs - first.atMs);
}

/** Milliseconds of silence, and of audio that was captured and did not arrive in the output. */
export function silence(sent: readonly Sent[], window: Window): number {
  return (
    inside(sent, window).filter(({ kind, captureMs }) => kind === 'audio' && captureMs === undefined).length *
    (1024 / 48)
  );
}

/** Whether the timestamps of a track never decrease; the first step back. */
export function stepBack(sent: readonly Sent[], kind: TrackKind): Sent | undefined {
  let lastMs = -Infinity;
  for (const item of sent) {
    if (item.kind !== kind) continue;
    if (item.streamMs < lastMs) return item;
    lastMs = item.streamMs;
  }
  return undefined;
}
