import t from 'tap';
import type { TrackKind } from '../../../src/media/rtp/media-clock.ts';
import { KINDS, PipelineSimulation, type Sent } from '../../helpers/pipeline-simulation.ts';
import { furthestBack, gained, offsets, stepBack, worst } from '../../helpers/stream-check.ts';

const LIMIT_MS = 60;

/** Both tracks report that often, from the start or never. */
const reporting = (reportEveryMs: number) => {
  const track = reportEveryMs === Infinity ? { reportEveryMs, firstReportMs: Infinity } : { reportEveryMs };
  return { audio: track, video: track };
};

/** Stream time minus local time of the soonest frame within five seconds. */
const leadMs = (sent: readonly Sent[], kind: TrackKind, fromMs: number): number =>
  Math.max(
    ...sent
      .filter((item) => item.kind === kind && item.atMs >= fromMs && item.atMs < fromMs + 5000)
      .map(({ streamMs, atMs }) => streamMs - atMs),
  );

t.test('reports that are wrong by up to 200 ms: from the second one on', async (t) => {
  for (const [reportEveryMs, fromMs] of [
    [1000, 4000],
    [3000, 8000],
  ] as const)
    for (const reportNoiseMs of [60, 200])
      for (let seed = 1; seed <= 10; seed++) {
        const reports = { reportEveryMs, reportNoiseMs };
        const simulation = await PipelineSimulation.create({ audio: reports, video: reports }, seed);
        simulation.run(40_000);
        const { sent } = simulation;
        const found = worst(offsets(sent, { fromMs }));
        t.ok(found <= LIMIT_MS, `${reportNoiseMs} ms each ${reportEveryMs} ms, seed ${seed}: ${found}`);
        for (const kind of KINDS) {
          const gainedMs = gained(sent, kind, { fromMs });
          t.ok(Math.abs(gainedMs) <= 100, `length of ${kind}: ${gainedMs}`);
        }
        t.ok(furthestBack(sent, { fromMs }) <= 200);
      }
});

t.test('reports that are wrong by up to 200 ms, on a wall clock that is set after five of them', async (t) => {
  for (const stepMs of [-700, 300, 900, 3_600_000])
    for (let seed = 1; seed <= 15; seed++) {
      const reports = { reportEveryMs: 1000, reportNoiseMs: 200 };
      const simulation = await PipelineSimulation.create({ audio: reports, video: reports }, seed);
      simulation.run(5000);
      simulation.ntpOffsetMs += stepMs;
      simulation.run(16_000);
      const found = worst(offsets(simulation.sent, { fromMs: 4000 }));
      t.ok(found <= LIMIT_MS, `by ${stepMs} ms, seed ${seed}: ${found}`);
    }
});

t.test('reports that are wrong by up to 200 ms, of tracks that differ in them', async (t) => {
  const reports = { reportEveryMs: 1000, reportNoiseMs: 200, rtpDrift: 2e-4 };
  for (const [name, other] of [
    ['exact on one track', { ...reports, reportNoiseMs: 1 }],
    ['seldom on one track', { ...reports, reportEveryMs: 2700, rtpDrift: -2e-4 }],
    ['late on one track', { ...reports, firstReportMs: 6000 }],
  ] as const)
    for (const kind of KINDS)
      for (let seed = 1; seed <= 6; seed++) {
        const simulation = await PipelineSimulation.create({ audio: reports, video: reports, [kind]: other }, seed);
        simulation.run(20_000);
        const found = worst(offsets(simulation.sent, { fromMs: 9000 }));
        t.ok(found <= LIMIT_MS, `${name}, ${kind}, seed ${seed}: ${found}`);
      }
});

t.test('packets that are lost all the time, with reports each 5 s', async (t) => {
  for (const loss of [0.02, 0.1])
    for (const reportNoiseMs of [1, 60])
      for (let seed = 1; seed <= 6; seed++) {
        const track = { reportEveryMs: 5000, loss, reportNoiseMs };
        const simulation = await PipelineSimulation.create({ audio: track, video: track }, seed);
        simulation.run(60_000);
        const { sent } = simulation;
        const name = `${loss * 100} % lost, reports off by ${reportNoiseMs} ms, seed ${seed}`;
        const found = worst(offsets(sent, { fromMs: 8000 }));
        t.ok(found <= LIMIT_MS, `${name}: offset ${found}`);
        for (const kind of KINDS) {
          t.notOk(stepBack(sent, kind), `${name}: ${kind} in order`);
          // The soonest frames: others wait for packets that are missing.
          const gainedMs = leadMs(sent, kind, 55_000) - leadMs(sent, kind, 8000);
          t.ok(Math.abs(gainedMs) <= 30, `${name}: length of ${kind}: ${gainedMs}`);
        }
      }
});

t.test('30 ms that are lost each second', async (t) => {
  for (const [reportEveryMs, fromMs] of [
    [1000, 10_000],
    [3000, 30_000],
  ] as const)
    for (const kinds of [['audio'], ['video'], KINDS] as const) {
      const simulation = await PipelineSimulation.create(reporting(reportEveryMs));
      simulation.run(10_000);
      for (let second = 1; second <= 40; second++) {
        for (const kind of kinds) simulation.lose(kind, 30);
        simulation.run((10 + second) * 1000);
      }
      const found = worst(offsets(simulation.sent, { fromMs }));
      t.ok(found <= LIMIT_MS, `${kinds.join()}, reports each ${reportEveryMs} ms: ${found}`);
      t.ok(furthestBack(simulation.sent, { fromMs }) <= 200);
    }
});

t.test('small steps: at most 100 ms after 3 s without reports, 60 ms after 2 s with them', async (t) => {
  for (const reportEveryMs of [1000, 3000, Infinity])
    for (const kind of KINDS)
      for (const stepMs of [-200, -100, 100, 200]) {
        const simulation = await PipelineSimulation.create(reporting(reportEveryMs));
        simulation.run(10_000);
        simulation[kind].rtpOffsetMs += stepMs;
        simulation.run(30_000);
        const hasReports = reportEveryMs < Infinity;
        const fromMs = hasReports ? 12_000 + 3 * reportEveryMs : 13_000;
        const found = worst(offsets(simulation.sent, { fromMs }));
        t.ok(found <= (hasReports ? LIMIT_MS : 100), `${kind} by ${stepMs} ms, each ${reportEveryMs} ms: ${found}`);
      }
});

t.test('exactly one report of each track, then a jump of one: at most 100 ms after 3 s', async (t) => {
  for (const fps of [15, 30])
    for (const kind of KINDS)
      for (const stepMs of [-1000, -320, -200, -100, 100, 200, 320, 1000]) {
        const simulation = await PipelineSimulation.create({
          audio: { reportEveryMs: 1e9 },
          video: { reportEveryMs: 1e9, lengthMs: 1000 / fps },
        });
        simulation.run(5000);
        simulation[kind].rtpOffsetMs += stepMs;
        simulation.run(30_000);
        const found = worst(offsets(simulation.sent, { fromMs: 8000 }));
        t.ok(found <= 100, `${kind} by ${stepMs} ms at ${fps} frames per second: ${found}`);
      }
});

t.test('a delay that reports have shown stays known when they end', async (t) => {
  const reports = { reportEveryMs: 1000 };
  const simulation = await PipelineSimulation.create({ audio: reports, video: { ...reports, delayMs: 330 } });
  simulation.run(10_000);
  for (const kind of KINDS) simulation[kind].reportEveryMs = Infinity;
  simulation.run(30_000);
  t.ok(worst(offsets(simulation.sent, { fromMs: 5000 })) <= LIMIT_MS);
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
        const back = furthestBack(simulation.sent, { fromMs: 10_000 + pauseMs });
        t.ok(back <= 200, `back by ${back}`);
      }
});

t.test('B-frames after a pause in which timestamps stood still', async (t) => {
  for (const bFrames of [1, 2, 3])
    for (const kinds of [['video'], KINDS] as const)
      // The pause begins and ends at any place between two other frames.
      for (let place = 0; place < 8; place++) {
        const simulation = await PipelineSimulation.create(reporting(1000));
        simulation.bFrames = bFrames;
        simulation.run(5000 + (place * 1000) / 30);
        for (const kind of kinds) simulation[kind].state = 'frozen';
        simulation.run(8000 + ((place + (place >> 1)) * 1000) / 30);
        for (const kind of kinds) simulation[kind].state = 'sending';
        simulation.run(13_000);
        const back = furthestBack(simulation.sent, { fromMs: 4000 });
        t.ok(back <= 250 + (bFrames * 1000) / 30, `${bFrames} B-frames, ${kinds.join()}, place ${place}: ${back}`);
        const found = worst(offsets(simulation.sent, { fromMs: 9500 }));
        t.ok(found <= LIMIT_MS, `offset ${found}`);
      }
});

t.test('B-frames of any number, at any rate: they are shown as evenly as they were captured', async (t) => {
  for (const fps of [10, 15, 30, 60])
    for (const bFrames of fps < 15 ? [1, 2, 3] : [1, 2, 3, 5]) {
      const simulation = await PipelineSimulation.create({ video: { lengthMs: 1000 / fps, jitterMs: 0 } });
      simulation.bFrames = bFrames;
      simulation.run(4000);
      const shifts = simulation.sent.flatMap(({ kind, streamMs, captureMs }) =>
        kind === 'video' ? [streamMs - captureMs!] : [],
      );
      const rangeMs = Math.max(...shifts) - Math.min(...shifts);
      t.ok(rangeMs < 5, `${bFrames} at ${fps} frames per second: ${rangeMs}`);
      t.ok(worst(offsets(simulation.sent, { fromMs: 3000 })) <= LIMIT_MS, 'audio and video together');
    }
});

t.test('B-frames whose timestamps jump', async (t) => {
  for (const reportEveryMs of [1000, Infinity])
    for (const fps of [15, 30])
      for (const bFrames of [1, 3])
        for (const jumpMs of [-3000, -700, 300, 5000]) {
          const { audio, video } = reporting(reportEveryMs);
          const simulation = await PipelineSimulation.create({ audio, video: { ...video, lengthMs: 1000 / fps } });
          simulation.bFrames = bFrames;
          simulation.run(5000);
          simulation.video.rtpOffsetMs += jumpMs;
          simulation.run(10_000);
          const found = worst(offsets(simulation.sent, { fromMs: 8000 }));
          t.ok(found <= 100, `${bFrames} at ${fps} frames per second by ${jumpMs} ms: ${found}`);
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

t.test('a track that is 900 ms late from the start: 1.5 s after the first reports', async (t) => {
  for (const reportEveryMs of [1000, 3000, 5000])
    for (const kind of KINDS) {
      const reports = { reportEveryMs, firstReportMs: 1000 };
      const tracks = { audio: { ...reports }, video: { ...reports } };
      const simulation = await PipelineSimulation.create({ ...tracks, [kind]: { ...reports, delayMs: 900 } });
      simulation.run(12_000);
      const found = worst(offsets(simulation.sent, { fromMs: 1000 + 900 + 1500 }));
      t.ok(found <= LIMIT_MS, `${kind}, reports each ${reportEveryMs} ms: ${found}`);
    }
});
