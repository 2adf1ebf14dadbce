import t, { type Test } from 'tap';
import { H264Coder, type Coding } from '../../helpers/h264-coder.ts';
import { PipelineSimulation, type Sent } from '../../helpers/pipeline-simulation.ts';
import { offsets, worst } from '../../helpers/stream-check.ts';

const LIMIT_MS = 60;
/** Timestamps are in whole ticks of 90 kHz, and frames do not all arrive equally fast. */
const EVEN_MS = 5;

const CODINGS: readonly Coding[] = [1, 2, 3, 5, 7, 16].flatMap((bFrames) =>
  (bFrames > 1 ? [false, true] : [false]).flatMap((pyramid) =>
    [false, true].flatMap((openGop) =>
      [false, true].map((saysReordering) => ({ bFrames, pyramid, openGop, saysReordering, delimiters: openGop })),
    ),
  ),
);

const nameOf = ({ bFrames, pyramid, openGop, saysReordering }: Coding, fps: number): string =>
  `${bFrames} at ${fps} frames per second${pyramid ? ', pyramid' : ''}${openGop ? ', open' : ''}${saysReordering ? '' : ', not said'}`;

async function simulate(coding: Coding, fps: number, reportEveryMs: number, jitterMs = 3): Promise<PipelineSimulation> {
  const reports = reportEveryMs === Infinity ? { firstReportMs: Infinity } : { reportEveryMs };
  const video = { ...reports, lengthMs: 1000 / fps, jitterMs };
  return PipelineSimulation.create({ audio: reports, video }, 1, new H264Coder(coding));
}

const videoOf = ({ sent }: PipelineSimulation): Sent[] => sent.filter(({ kind }) => kind === 'video');

/** Decoding times as they are sent: each later than the last one by a millisecond at least. */
function decodeTimes(frames: readonly Sent[]): number[] {
  let lastMs = -Infinity;
  return frames.map(({ decodeMs }) => (lastMs = Math.max(decodeMs!, lastMs + 1)));
}

function judgeOrder(t: Test, frames: readonly Sent[], name: string): void {
  const times = decodeTimes(frames);
  t.ok(
    frames.every(({ streamMs }, index) => times[index]! <= streamMs + 1.5),
    `${name}: decoded before they are shown`,
  );
}

const rangeOf = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);

t.test('any number of B-frames, at any rate: even and in sync from the first frame on', async (t) => {
  for (const fps of [10, 15, 24, 30, 60])
    for (const coding of CODINGS)
      for (const reportEveryMs of [1000, Infinity]) {
        const simulation = await simulate(
          { ...coding, ...(fps === 30 && { framesPerSecond: fps }) },
          fps,
          reportEveryMs,
        );
        simulation.run(8000);
        const name = nameOf(coding, fps);
        const frames = videoOf(simulation);
        t.ok(frames.length >= Math.floor((7900 / 1000) * fps) - coding.bFrames - 1, `${name}: no frame is lost`);
        judgeOrder(t, frames, name);
        const shiftMs = rangeOf(frames.map(({ streamMs, captureMs }) => streamMs - captureMs!));
        t.ok(shiftMs < EVEN_MS, `${name}: shown as evenly as captured: ${shiftMs}`);
        const steps = frames.slice(1).map(({ decodeMs }, index) => decodeMs! - frames[index]!.decodeMs!);
        t.ok(
          steps.every((step) => Math.abs(step - 1000 / fps) < EVEN_MS),
          `${name}: decoding times from ${Math.min(...steps)} to ${Math.max(...steps)} ms apart`,
        );
        const found = worst(offsets(simulation.sent, { fromMs: 0 }));
        t.ok(found <= LIMIT_MS, `${name}: offset ${found}`);
      }
});

t.test('B-frames that begin in the middle, with other parameter sets', async (t) => {
  for (const fps of [10, 30])
    for (const coding of CODINGS)
      for (const reportEveryMs of [1000, Infinity]) {
        const { saysReordering } = coding;
        const before = { bFrames: 0, ...(saysReordering !== undefined && { saysReordering }) };
        const simulation = await simulate(before, fps, reportEveryMs);
        simulation.run(5000);
        simulation.coder = new H264Coder(coding, 10_000);
        simulation.run(14_000);
        const name = nameOf(coding, fps);
        judgeOrder(t, videoOf(simulation), name);
        const found = worst(offsets(simulation.sent, { fromMs: 0 }));
        t.ok(found <= LIMIT_MS, `${name}: offset ${found}`);
      }
});

t.test('B-frames of which some are lost', async (t) => {
  for (const fps of [10, 30])
    for (const coding of CODINGS.filter(({ bFrames }) => bFrames < 16))
      for (const reportEveryMs of [1000, Infinity]) {
        const groupLength = Math.max(2, Math.round(fps / (coding.bFrames + 1)));
        const simulation = await simulate({ ...coding, groupLength }, fps, reportEveryMs);
        simulation.run(3000);
        simulation.video.loss = 0.03;
        simulation.run(20_000);
        const name = nameOf(coding, fps);
        judgeOrder(t, videoOf(simulation), name);
        const found = worst(offsets(simulation.sent, { fromMs: 0 }));
        t.ok(found <= LIMIT_MS, `${name}: offset ${found}`);
      }
});

t.test('streams without B-frames are not delayed, whether or not they say so', async (t) => {
  for (const saysReordering of [true, false]) {
    const simulation = await simulate({ bFrames: 0, saysReordering }, 30, Infinity, 0);
    simulation.run(5000);
    const frames = videoOf(simulation);
    t.ok(
      frames.every(({ streamMs, decodeMs }) => streamMs === decodeMs),
      'decoded when they are shown',
    );
    // The first two wait for a packet that proves the marker, and for the frame that would show B-frames.
    const delays = frames.slice(2).map(({ atMs, captureMs }) => atMs - captureMs!);
    t.ok(Math.max(...delays) < 31, 'passed on when they arrive');
  }
});
