import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { clipSource, FPS, setComplyStage, type Clip } from '../helpers/comply-stage.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recordedUntil } from '../helpers/recording.ts';
import { waitFor } from '../helpers/wait.ts';

async function clip({ kbps, keyEvery, seconds }: { kbps: number; keyEvery: number; seconds: number }): Promise<Clip> {
  const file = await ffmpeg([
    ...clipSource(seconds),
    ...[
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-tune',
      'zerolatency',
      '-profile:v',
      'baseline',
      '-pix_fmt',
      'yuv420p',
    ],
    ...[
      '-g',
      String(keyEvery),
      '-sc_threshold',
      '0',
      '-b:v',
      `${kbps}k`,
      '-maxrate',
      `${kbps}k`,
      '-bufsize',
      `${kbps}k`,
    ],
    ...['-f', 'flv', '-'],
  ]);
  const tags = new FlvReader().push(file).filter((tag) => tag.type === TAG_VIDEO && tag.data.length > 5);
  const header = tags.find((tag) => tag.sequenceHeader)!;
  return tags.filter((tag) => !tag.sequenceHeader).map((tag) => nalUnits(tag, header));
}

/** The NAL units of a frame; of a key frame with its parameter sets before. */
function nalUnits(frame: FlvTag, header: FlvTag): Buffer[] {
  const units: Buffer[] = [];
  if (frame.keyFrame) {
    const { data } = header;
    const sps = data.readUInt16BE(11);
    const pps = data.readUInt16BE(13 + sps + 1);
    units.push(data.subarray(13, 13 + sps), data.subarray(16 + sps, 16 + sps + pps));
  }
  for (let at = 5; at + 4 <= frame.data.length;) {
    const end = at + 4 + frame.data.readUInt32BE(at);
    units.push(frame.data.subarray(at + 4, end));
    at = end;
  }
  return units;
}

t.test('the publisher leaves the rules and comes back: one connection, no gap, every frame decodes', async (t) => {
  const good = await clip({ kbps: 300, keyEvery: FPS, seconds: 2 });
  const breaches: [string, Clip][] = [
    ['videoBitrate', await clip({ kbps: 2500, keyEvery: FPS, seconds: 2 })],
    ...(process.env['LONG_TESTS']
      ? [['keyFrameInterval', await clip({ kbps: 300, keyEvery: FPS * 5, seconds: 5 })] as [string, Clip]]
      : []),
  ];
  const nginx = await startNginxRtmp();
  t.teardown(() => nginx.stop());
  const { encoders, manager, publisher, skip, reaches } = await setComplyStage(t, { first: good, videoCodec: 'h264' });
  const { mediaSessionId } = await manager.start({ streamName: 'show', rtmpUrl: nginx.rtmpUrl, comply: 'auto' });
  const view = () => manager.find({ mediaSessionId })[0]!;
  const states: string[] = [];
  manager.onChange(({ comply }) => {
    if (comply && comply.state !== states.at(-1)) states.push(comply.state);
  });
  await waitFor('the push', () => view().status === 'pushing');
  t.match(view(), { platform: 'strict', comply: { mode: 'auto', state: 'passing', because: [] } });
  await sleep(3000);
  t.equal(encoders.counts.videoEncoders, 0);

  for (const [check, bad] of breaches) {
    publisher.show(bad);
    await reaches(mediaSessionId, 'encoding');
    t.match(view().comply, { because: [check] });
    t.equal(encoders.counts.videoEncoders, 1);
    await sleep(4000);
    publisher.show(good);
    // What was measured before must have left the window; then the minute of compliance passes.
    await sleep(12_000);
    t.equal(view().comply?.state, 'encoding');
    skip(61_000);
    await reaches(mediaSessionId, 'passing');
    await waitFor('the end of the encoder', () => encoders.counts.videoEncoders === 0);
    await sleep(2000);
  }
  t.match(view(), { status: 'pushing', attempt: 0, framesDropped: 0 });
  await manager.terminate(mediaSessionId);

  const file = await findRecording(nginx, 'show');
  const endMs = (await recordedUntil(file)).video;
  await waitFor('the whole recording', async () => (await recordedUntil(file)).video >= endMs);
  const { video, decodeErrors, frames, keyFrameIntervals } = await analyse(file);
  t.strictSame(states, ['passing', ...breaches.flatMap(() => ['encoding', 'passing'])]);
  t.strictSame(video.stepsBack, []);
  t.ok(video.largestGap <= 120, `largest gap ${video.largestGap} ms at ${video.largestGapAt}`);
  t.strictSame(decodeErrors, []);
  t.ok(frames.length >= video.count - 1, `${frames.length} frames of ${video.count}`);
  t.ok(Math.abs(video.count - ((video.last - video.first) * FPS) / 1000) < FPS, `${video.count} frames`);
  t.ok(Math.max(...keyFrameIntervals) > 1900, 'the key frames of the encoding');
  t.equal(nginx.output.match(/publish: name='show'/g)?.length, 1, 'one publish');
});
