import t from 'tap';
import { KINDS, PipelineSimulation, type SimulatedTrack } from '../../helpers/pipeline-simulation.ts';
import { randomFrom } from '../../helpers/random.ts';
import { furthestBack, gained, offsets, silence, stepBack, worst } from '../../helpers/stream-check.ts';

/** `SEED=N` repeats a run, `RUNS=N` makes more of them. */
const FIRST_SEED = Number(process.env.SEED ?? 1);
const RUNS = Number(process.env.RUNS ?? (process.env.SEED ? 1 : 1000));
const EVENT_MS = 10_000;
const END_MS = 26_000;
/** After a pause, packets are held back until it is known what stood still (`pause-judge.ts`). */
const DECIDE_MS = 50;
/** See `reorderWaitMs`: two retransmissions at a round trip of 20 ms, and the packet of 60 ms that shows the loss. */
const LOSS_WAIT_MS = 180;
const EVENTS = ['none', 'paused', 'frozen', 'jump', 'wall clock', 'length'] as const;

/** What a seed stands for, and what is wrong with the output. */
async function run(seed: number): Promise<{ readonly text: string; readonly faults: readonly string[] }> {
  const random = randomFrom(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const reportEveryMs = pick([1000, 3000, 5000, Infinity]);
  const hasReports = reportEveryMs < Infinity;
  const reportNoiseMs = reportEveryMs === 1000 ? pick([1, 20, 60, 200]) : 1;
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
  simulation.run(EVENT_MS);
  // Of noisy reports it takes many to tell a step, more than are awaited here.
  const event = pick(reportNoiseMs > 1 ? (['none', 'length'] as const) : EVENTS);
  const kinds = pick([['audio'], ['video'], KINDS] as const);
  // Frames that are sent out of order around a pause are not covered.
  if (event !== 'frozen' && event !== 'paused') simulation.bFrames = pick([0, 0, 0, 2]);
  const ms = Math.round(300 + random() * 3000);
  const isBack = random() < 0.5;
  if (event === 'paused' || event === 'frozen') for (const kind of kinds) simulation[kind].state = event;
  if (event === 'jump') for (const kind of kinds) simulation[kind].rtpOffsetMs += isBack ? -ms : ms;
  if (event === 'wall clock') simulation.ntpOffsetMs += isBack ? -ms : ms;
  if (event === 'length') simulation.audio.lengthMs = pick([10, 20, 40, 60]);
  simulation.run(EVENT_MS + ms);
  for (const kind of kinds) simulation[kind].state = 'sending';
  simulation.run(END_MS);
  const { sent } = simulation;
  const fromMs = EVENT_MS + 10_000;
  // 20 ms are open while the kind of sender is unknown.
  const limitMs = hasReports ? 80 : 120;
  const faults: string[] = [];
  const expect = (isTrue: boolean, fault: string): void => {
    if (!isTrue) faults.push(fault);
  };
  const offsetMs = worst(offsets(sent, { fromMs }));
  expect(offsetMs <= limitMs, `offset ${Math.round(offsetMs)} ms`);
  const backMs = furthestBack(sent, { fromMs: 5000 });
  // Packets that were lost are waited for.
  expect(backMs <= 200 + DECIDE_MS + (loss > 0 ? LOSS_WAIT_MS : 0), `back by ${Math.round(backMs)} ms`);
  for (const kind of KINDS) {
    expect(simulation.bFrames > 0 || !stepBack(sent, kind), `order of ${kind}`);
    const gainedMs = gained(sent, kind, { fromMs });
    expect(Math.abs(gainedMs) <= 300, `${kind} gained ${Math.round(gainedMs)} ms`);
  }
  if (loss === 0 && event !== 'jump' && event !== 'paused' && event !== 'frozen') {
    const silentMs = silence(sent, { fromMs });
    expect(silentMs === 0, `${Math.round(silentMs)} ms of silence`);
  }
  const reports = `reports each ${reportEveryMs} ms off by ${reportNoiseMs} ms`;
  const network = `loss ${loss}, jitter ${jitterMs} ms, ${simulation.bFrames} B-frames, packets of ${lengthMs} ms`;
  return { text: `${event} ${kinds.join()} ${isBack ? -ms : ms} ms, ${reports}, ${network}`, faults };
}

t.test('publishers of any kind', async (t) => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
    const { text, faults } = await run(seed);
    if (faults.length > 0) t.fail(`SEED=${seed}: ${text}: ${faults.join(', ')}`);
  }
  t.pass(`${RUNS} runs from SEED=${FIRST_SEED}`);
});
