import t from 'tap';
import { KINDS, PipelineSimulation } from '../../helpers/pipeline-simulation.ts';
import { furthestBack, offsets, stepBack, worst } from '../../helpers/stream-check.ts';

const LIMIT_MS = 60;

/** Both tracks report that often, from the start or never. */
const reporting = (reportEveryMs: number) => {
  const track = reportEveryMs === Infinity ? { reportEveryMs, firstReportMs: Infinity } : { reportEveryMs };
  return { audio: track, video: track };
};

t.test('reports that are wrong by up to 200 ms', async (t) => {
  for (const reportNoiseMs of [60, 200]) {
    const reports = { reportEveryMs: 1000, reportNoiseMs };
    const simulation = await PipelineSimulation.create({ audio: reports, video: reports });
    simulation.run(60_000);
    t.ok(worst(offsets(simulation.sent, { fromMs: 10_000 })) <= LIMIT_MS, `${reportNoiseMs} ms`);
  }
});

t.test('timestamps that go back while sequence numbers go on', async (t) => {
  for (const reportEveryMs of [3000, Infinity])
    for (const kind of KINDS)
      for (const backMs of [500, 1000, 3000, 3900]) {
        const simulation = await PipelineSimulation.create(reporting(reportEveryMs));
        simulation.run(10_000);
        simulation[kind].rtpOffsetMs -= backMs;
        simulation.run(20_000);
        t.ok(worst(offsets(simulation.sent, { fromMs: 10_000 })) <= LIMIT_MS, `${kind} by ${backMs} ms`);
        t.ok(furthestBack(simulation.sent, { fromMs: 2000 }) <= 200);
        for (const track of KINDS) t.notOk(stepBack(simulation.sent, track));
      }
});

t.test('a pause after which timestamps have jumped, or stood still', async (t) => {
  for (const reportEveryMs of [3000, Infinity])
    for (const kinds of [['audio'], ['video'], KINDS] as const)
      for (const [state, pauseMs, jumpMs] of [
        ['paused', 1300, 896],
        ['frozen', 900, 0],
        ['frozen', 20_000, 0],
      ] as const) {
        const simulation = await PipelineSimulation.create(reporting(reportEveryMs));
        simulation.run(10_000);
        for (const kind of kinds) simulation[kind].state = state;
        simulation.run(10_000 + pauseMs);
        for (const kind of kinds) {
          simulation[kind].state = 'sending';
          simulation[kind].rtpOffsetMs += jumpMs;
        }
        simulation.run(20_000 + pauseMs);
        const found = worst(offsets(simulation.sent, { fromMs: 10_500 + pauseMs }));
        t.ok(found <= LIMIT_MS, `${state} ${kinds.join()} for ${pauseMs} ms: ${found}`);
      }
});

t.test('packets of audio of any length, and both conventions of reports', async (t) => {
  for (const reportsSending of [false, true]) {
    const simulation = await PipelineSimulation.create({
      audio: { reportEveryMs: 5000 },
      video: { reportEveryMs: 1000 },
    });
    simulation.reportsSending = reportsSending;
    for (const [index, lengthMs] of [20, 120, 20, 60, 20].entries()) {
      simulation.audio.lengthMs = lengthMs;
      simulation.run((index + 1) * 10_000);
    }
    t.ok(worst(offsets(simulation.sent, { fromMs: 8000 })) <= LIMIT_MS);
    t.notOk(
      simulation.sent.some(({ atMs, kind, captureMs }) => atMs > 8000 && kind === 'audio' && captureMs === undefined),
    );
  }
});

t.test('a track that is 900 ms late from the start', async (t) => {
  for (const reportEveryMs of [1000, 3000, 5000]) {
    const simulation = await PipelineSimulation.create({
      audio: { reportEveryMs, firstReportMs: 1000 },
      video: { reportEveryMs, firstReportMs: 1000, delayMs: 900 },
    });
    simulation.run(12_000);
    t.ok(worst(offsets(simulation.sent, { fromMs: 3500 })) <= LIMIT_MS);
  }
});
