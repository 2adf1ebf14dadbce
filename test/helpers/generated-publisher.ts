import type { Test } from 'tap';
import { KINDS, PipelineSimulation, type SimulatedTrack } from './pipeline-simulation.ts';
import { randomFrom } from './random.ts';
import { furthestBack, gained, offsets, silence, stepBack, worst } from './stream-check.ts';

/** `SEED=N` repeats a run, `RUNS=N` makes another number of them. */
const FIRST_SEED = Number(process.env.SEED ?? 1);
const RUNS = Number(process.env.RUNS ?? (process.env.SEED ? 1 : NaN));
const EVENT_MS = 5000;
/** How long the output is judged. */
const JUDGED_MS = 2500;
/** An error that three reports in a row prove is gone within 2 s of the last of them. */
const CORRECTION_MS = 2000;
/** Without reports, arrivals bound the error within this time. */
const BOUND_MS = 3000;
/** Lip sync with reports, and by arrivals only. Frames that are sent out of order do not all arrive equally fast. */
const LIMIT_MS = 60;
const ARRIVAL_LIMIT_MS = 100;
const REORDER_LIMIT_MS = 25;
/**
 * Reports whose means are further off than this many standard errors prove something that is wrong: no clock can tell
 * them from those of tracks that are apart.
 */
const PROOF = 4;
/** Fewer reports prove nothing. */
const MIN_PROOF = 3;
/** Nothing is placed further before what was sent. */
const BACK_MS = 200;
/** At both ends of what is judged: the length of packets and the corrections that are going on. */
const GAINED_MS = 160;
/** See `audio-encoder.ts`. */
const MAX_FILL_MS = 500;
/** After a pause, packets are held back until it is known what stood still (`pause-judge.ts`). */
const DECIDE_MS = 75;
/** See `reorderWaitMs`: two retransmissions at a round trip of 20 ms, and the packet of 60 ms that shows the loss. */
const LOSS_WAIT_MS = 180;

/** How far apart from the truth reports that are off by up to `noiseMs` have proved the tracks to be, at most. */
function provedWrongMs({ audio, video }: PipelineSimulation['reportErrors'], noiseMs: number): number {
  let [sumMs, provedMs] = [0, 0];
  for (let count = 1; count <= Math.min(audio.length, video.length); count++) {
    sumMs += audio[count - 1]! - video[count - 1]!;
    const meanMs = Math.abs(sumMs) / count;
    // Of an even distribution of both tracks' errors.
    const standardErrorMs = noiseMs * Math.sqrt(2 / 3 / count);
    if (count >= MIN_PROOF && meanMs > PROOF * standardErrorMs) provedMs = Math.max(provedMs, meanMs);
  }
  return provedMs;
}

/** What happens to a publisher in the middle of a run. */
export type PublisherEvent = 'none' | 'paused' | 'frozen' | 'jump' | 'wall clock' | 'length';

/** What a seed stands for, and what is wrong with the output. */
async function run(
  seed: number,
  events: readonly PublisherEvent[],
): Promise<{ readonly text: string; readonly faults: readonly string[] }> {
  const random = randomFrom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const reportEveryMs = pick([500, 1000, 1000, 3000, Infinity]);
  const hasReports = reportEveryMs < Infinity;
  const reportNoiseMs = reportEveryMs <= 1000 ? pick([1, 1, 20, 60, 200]) : 1;
  const loss = pick([0, 0, 0.01, 0.03]);
  const jitterMs = pick([0, 3, 20]);
  const track = (): Partial<SimulatedTrack> => ({
    reportEveryMs,
    reportNoiseMs,
    firstReportMs: hasReports ? 200 + random() * 1000 : Infinity,
    rtpOffsetMs: random() * (2 ** 32 / 48),
    rtpDrift: (random() - 0.5) * 2e-4,
    jitterMs,
    loss,
    lateShare: pick([0, 0, 0.01]),
    lateMs: 20 + random() * 80,
  });
  const lengthMs = pick([10, 20, 40, 60]);
  const simulation = await PipelineSimulation.create({ audio: { ...track(), lengthMs }, video: track() }, seed);
  simulation.reportsSending = random() < 0.5 && lengthMs <= 20;
  simulation.bFrames = pick([0, 0, 0, 1, 2, 3]);
  const event = pick(events);
  const eventMs = reportEveryMs === 3000 ? EVENT_MS + 2000 : EVENT_MS;
  simulation.run(eventMs);
  const kinds = pick([['audio'], ['video'], KINDS] as const);
  const ms = Math.round(300 + random() * 3000);
  const isBack = random() < 0.5;
  const pauses = event === 'paused' || event === 'frozen';
  if (pauses) for (const kind of kinds) simulation[kind].state = event;
  if (event === 'jump') for (const kind of kinds) simulation[kind].rtpOffsetMs += isBack ? -ms : ms;
  if (event === 'wall clock') simulation.ntpOffsetMs += isBack ? -ms : ms;
  if (event === 'length') simulation.audio.lengthMs = pick([10, 20, 40, 60]);
  const overMs = eventMs + (pauses ? ms : 0);
  simulation.run(overMs);
  for (const kind of kinds) simulation[kind].state = 'sending';
  const fromMs = overMs + (hasReports ? 3 * reportEveryMs + CORRECTION_MS : BOUND_MS);
  simulation.run(fromMs + JUDGED_MS);
  const { sent } = simulation;
  const arrivalLimitMs = ARRIVAL_LIMIT_MS + (simulation.bFrames > 0 ? REORDER_LIMIT_MS : 0);
  const reportLimitMs = Math.max(LIMIT_MS, provedWrongMs(simulation.reportErrors, reportNoiseMs));
  const limitMs = hasReports ? reportLimitMs : arrivalLimitMs;
  const faults: string[] = [];
  const expect = (isTrue: boolean, fault: string): void => {
    if (!isTrue) faults.push(fault);
  };
  const offsetMs = worst(offsets(sent, { fromMs }));
  expect(offsetMs <= limitMs, `offset ${Math.round(offsetMs)} ms`);
  const backMs = furthestBack(sent, { fromMs: eventMs });
  // Packets that were lost are waited for.
  const waitMs = (loss > 0 ? LOSS_WAIT_MS : 0) + simulation.bFrames * simulation.video.lengthMs;
  // The last frame of AAC before a short hole is full when the audio after it comes.
  const holeMs = pauses && kinds[0] === 'audio' && ms <= MAX_FILL_MS ? ms : 0;
  expect(backMs <= BACK_MS + DECIDE_MS + waitMs + holeMs, `back by ${Math.round(backMs)} ms`);
  for (const kind of KINDS) {
    expect(simulation.bFrames > 0 || !stepBack(sent, kind), `order of ${kind}`);
    const gainedMs = gained(sent, kind, { fromMs });
    expect(Math.abs(gainedMs) <= GAINED_MS + waitMs, `${kind} gained ${Math.round(gainedMs)} ms`);
  }
  if (loss === 0 && event !== 'jump' && !pauses) {
    const silentMs = silence(sent, { fromMs });
    expect(silentMs === 0, `${Math.round(silentMs)} ms of silence`);
  }
  const reports = `reports each ${reportEveryMs} ms off by ${reportNoiseMs} ms`;
  const network = `loss ${loss}, jitter ${jitterMs} ms, ${simulation.bFrames} B-frames, packets of ${lengthMs} ms`;
  return { text: `${event} ${kinds.join()} ${isBack ? -ms : ms} ms, ${reports}, ${network}`, faults };
}

/** Random publishers in simulated time, each with one of these events. */
export async function judgePublishers(t: Test, events: readonly PublisherEvent[], runs: number): Promise<void> {
  const count = Number.isNaN(RUNS) ? runs : RUNS;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    const { text, faults } = await run(seed, events);
    if (faults.length > 0) t.fail(`SEED=${seed}: ${text}: ${faults.join(', ')}`);
  }
  t.pass(`${count} runs from SEED=${FIRST_SEED}`);
}
