import t, { type Test } from 'tap';
import { KINDS, PipelineSimulation, type SimulatedTrack } from '../../helpers/pipeline-simulation.ts';
import { silence, stepBack } from '../../helpers/stream-check.ts';

const STEP_MS = 20;
const TRACK: Partial<SimulatedTrack> = { delayMs: 20, firstReportMs: 400, reportEveryMs: 1000 };

/** A publisher whose network delays packets by a time that depends on when they are sent. */
async function publish(forMs: number, delayMs: (sentMs: number) => number, seed: number): Promise<PipelineSimulation> {
  const simulation = await PipelineSimulation.create({ audio: TRACK, video: TRACK }, seed);
  for (let ms = 0; ms < forMs; ms += STEP_MS) {
    for (const kind of KINDS) simulation[kind].delayMs = delayMs(ms);
    simulation.run(ms + STEP_MS);
  }
  return simulation;
}

/** From a time on there is audio and no silence, and both tracks are in order from the start. */
function isAudible(t: Test, { sent }: PipelineSimulation, fromMs: number): void {
  t.ok(sent.some(({ kind, atMs, captureMs }) => kind === 'audio' && atMs > fromMs && captureMs !== undefined));
  t.equal(silence(sent, { fromMs }), 0, 'silence');
  for (const kind of KINDS) t.notOk(stepBack(sent, kind), `${kind} in order`);
}

const SEEDS = [1, 2, 3, 4, 5];

t.test('the network delay grows by 800 ms: silence for two seconds at most', async (t) => {
  for (const seed of SEEDS) {
    const simulation = await publish(9000, (ms) => 20 + Math.min(800, Math.max(0, ms - 2500)), seed);
    isAudible(t, simulation, 6500);
    t.ok(silence(simulation.sent, { fromMs: 0 }) <= 2000);
  }
});

t.test('the network delay grows by 400 ms: no silence', async (t) => {
  for (const seed of SEEDS)
    isAudible(t, await publish(6000, (ms) => 20 + Math.min(400, Math.max(0, (ms - 2500) / 2)), seed), 500);
});

t.test('a stream that begins during a stall has audio as soon as the stall is over', async (t) => {
  for (const seed of SEEDS) isAudible(t, await publish(4000, (ms) => 20 + Math.max(0, 1200 - ms), seed), 2200);
});

t.test('audio that sender reports place 700 ms behind the video is waited for', async (t) => {
  for (const seed of SEEDS) {
    const audio = { ...TRACK, delayMs: 720 };
    const simulation = await PipelineSimulation.create({ audio, video: TRACK }, seed);
    simulation.run(7000);
    isAudible(t, simulation, 5000);
  }
});
