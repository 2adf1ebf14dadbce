import t from 'tap';
import { analyse, MOST_SOUND_LAG, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const { gateway, nginx, publisher } = await setStage(t);
const page = await publisher({ name: 'wide', source: 'tone', sourceOptions: { width: 640, height: 360 } });

const push = (name: string, request: object = {}): ReturnType<typeof gateway.startPush> =>
  gateway.startPush({
    streamName: 'wide',
    rtmpUrl: `${nginx.rtmpUrl}/${name}`,
    rtmpTransponderFullUrl: true,
    ...request,
  });
const terminate = (ids: { mediaSessionId: string }[]): Promise<unknown> =>
  Promise.all(ids.map(({ mediaSessionId }) => gateway.rest('/push/terminate', { mediaSessionId })));
/** Processor time of the gateway and its children during one second, as a share of one core. */
async function load(): Promise<number> {
  const sum = (): number => gateway.cpu().gateway + gateway.cpu().children;
  const [before, start] = [sum(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return (sum() - before) / (performance.now() - start);
}

await t.test('two profiles and six destinations need two video encoders and one audio encoder', async (t) => {
  const plain = await push('plain');
  await gateway.reached(plain.mediaSessionId, 'pushing');
  const low = [await push('low-1', { height: 180 })];
  await gateway.reached(low[0]!.mediaSessionId, 'pushing');
  const one = await load();
  low.push(
    await push('low-2', { height: 180 }),
    await push('low-3', { height: 180 }),
    await push('low-4', { height: 180 }),
  );
  await Promise.all(low.map(({ mediaSessionId }) => gateway.reached(mediaSessionId, 'pushing')));
  t.comment(
    `load with one transcoded destination ${(one * 100).toFixed(1)} % of a core, with four of the same profile ${((await load()) * 100).toFixed(1)} %`,
  );
  t.equal(gateway.children('video-encoder').length, 1, 'four destinations, one encoder');

  const slow = await push('slow', { height: 240, fps: 10, keyFrameInterval: 10 });
  await gateway.reached(slow.mediaSessionId, 'pushing');
  await Promise.all(['plain', 'low-1', 'low-4'].map((name) => recorded(recordingOf(nginx, name), 2000)));
  await recorded(recordingOf(nginx, 'slow'), 3000);
  t.equal(gateway.children('video-encoder').length, 2, 'another profile, another encoder');
  t.equal(gateway.children('audio-encoder').length, 1);

  await terminate(low.slice(0, 3));
  t.equal(gateway.children('video-encoder').length, 2, 'an encoder runs as long as a destination needs it');
  await terminate([low[3]!]);
  await waitFor('the encoder to end with its last destination', () => gateway.children('video-encoder').length === 1);
  await terminate([slow, plain]);
  await waitFor('no encoder', () => gateway.children().every(({ role }) => role === 'media-worker'));

  for (const [name, width, height] of [
    ['plain', 640, 360],
    ['low-1', 320, 180],
    ['low-4', 320, 180],
    ['slow', 426, 240],
  ] as const) {
    const recording = await analyse(recordingOf(nginx, name));
    t.strictSame(recording.decodeErrors, [], `${name} decodes`);
    t.match(recording.frames.at(-1), { width, height }, `${name} is ${width}x${height}`);
    t.ok(recording.startsWithKeyFrame);
    t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
    t.ok(
      Math.abs(recording.audio.last - recording.video.last) <= MOST_SOUND_LAG,
      `${name}: tracks end together: ${recording.audio.last} and ${recording.video.last}`,
    );
    t.ok(recording.level(500, 1500) > -15, `${name} has audio`);
  }
  const paced = await analyse(recordingOf(nginx, 'slow'));
  const rate = ((paced.video.count - 1) * 1000) / (paced.video.last - paced.video.first);
  t.ok(rate > 9 && rate < 11, `10 frames per second: ${rate.toFixed(1)}`);
  t.ok(
    paced.keyFrameIntervals.every((interval) => Math.abs(interval - 1000) <= 110),
    `a key frame every 10 frames: ${paced.keyFrameIntervals.join()}`,
  );
});

await t.test(
  'a new source size is passed through with a new sequence header, and transcoded without one',
  async (t) => {
    const passed = await push('passed');
    const fixed = await push('fixed', { height: 180 });
    await Promise.all(['passed', 'fixed'].map((name) => recorded(recordingOf(nginx, name), 1500)));
    await page.resize(320, 240);
    const at = (await recordedUntil(recordingOf(nginx, 'passed'))).audio;
    await Promise.all(['passed', 'fixed'].map((name) => recorded(recordingOf(nginx, name), at + 2000)));
    t.match(await gateway.transponder(passed.mediaSessionId), { width: 320, height: 240 }, 'find shows the new size');
    await terminate([passed, fixed]);
    await page.resize(640, 360);

    const through = await analyse(recordingOf(nginx, 'passed'));
    t.ok(through.video.sequenceHeaders >= 2, `${through.video.sequenceHeaders} sequence headers`);
    t.match(through.frames[0], { width: 640, height: 360 });
    t.match(through.frames.at(-1), { width: 320, height: 240 });
    t.strictSame(through.decodeErrors, [], 'it can be decoded');

    const canvas = await analyse(recordingOf(nginx, 'fixed'));
    t.equal(canvas.video.sequenceHeaders, 1, 'one sequence header');
    t.ok(
      canvas.frames.every(({ width, height }) => width === 320 && height === 180),
      'one size',
    );
    t.strictSame(canvas.decodeErrors, []);
  },
);
