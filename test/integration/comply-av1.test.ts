import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ivfFrames } from '../../src/media/containers/ivf.ts';
import { clipSource, FPS, setComplyStage, type Clip } from '../helpers/comply-stage.ts';
import { framesOf, ivfOf, startEnhancedServer, tagsOf } from '../helpers/enhanced-server.ts';
import { ffmpeg, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { packetizeAv1, splitObus } from '../helpers/rtp.ts';
import type { ScriptedPeer } from '../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../helpers/wait.ts';

const PACKET_BYTES = 1200;

async function clip(kbps: number, noise: number): Promise<Clip> {
  const ivf = await ffmpeg([
    ...clipSource(2, noise),
    ...['-c:v', 'libaom-av1', '-usage', 'realtime', '-cpu-used', '8', '-lag-in-frames', '0', '-pix_fmt', 'yuv420p'],
    ...['-b:v', `${kbps}k`, '-g', String(FPS), '-keyint_min', String(FPS), '-f', 'ivf', '-'],
  ]);
  // The first OBU is a temporal delimiter, which is not sent.
  return ivfFrames(ivf).map((unit) => packetizeAv1(splitObus(unit).slice(1), PACKET_BYTES, false));
}

/** The frames of a connection have one codec, begin with a key frame, and decode. */
async function isSound(t: Test, peer: ScriptedPeer, fourcc: string | undefined): Promise<void> {
  const frames = framesOf(peer);
  t.ok(frames.length > FPS && frames[0]!.keyFrame);
  t.ok(frames.every((frame) => frame.fourcc === fourcc));
  if (fourcc) {
    const size = { width: 320, height: 240 };
    t.equal(
      (await frameHashes(['-f', 'ivf', '-i', 'pipe:0'], ivfOf('AV01', size, tagsOf(peer)))).length,
      frames.length,
    );
  }
}

t.test('AV1 that is passed through leaves the rules and comes back: each connection has one codec', async (t) => {
  const [good, bad] = await Promise.all([clip(300, 0), clip(2500, 30)]);
  const server = await startEnhancedServer({ videoFourCcInfoMap: { av01: 4 } });
  t.teardown(() => server.stop());
  const { encoders, manager, publisher, skip, reaches } = await setComplyStage(t, { first: good, videoCodec: 'av1' });
  const { mediaSessionId } = await manager.start({ streamName: 'show', rtmpUrl: server.rtmpUrl, comply: 'auto' });
  const view = () => manager.find({ mediaSessionId })[0]!;
  const frames = (connection: number, least: number) =>
    waitFor(
      `${least} frames on connection ${connection + 1}`,
      () => framesOf(server.peers[connection]).length > least,
      {
        timeout: 20_000,
      },
    );
  await frames(0, 2 * FPS);
  t.match(view(), { status: 'pushing', codecs: { video: 'av01' }, comply: { state: 'passing', because: [] } });
  t.equal(encoders.counts.videoEncoders, 0);

  publisher.show(bad);
  await reaches(mediaSessionId, 'encoding');
  await frames(1, 2 * FPS);
  t.match(view(), { status: 'pushing', attempt: 0, comply: { because: ['videoBitrate'] }, codecs: { video: 'avc1' } });
  t.equal(encoders.counts.videoEncoders, 1);

  publisher.show(good);
  // What was measured before must have left the window; then the minute of compliance passes.
  await sleep(12_000);
  t.equal(view().comply?.state, 'encoding');
  skip(61_000);
  await reaches(mediaSessionId, 'passing');
  await frames(2, 2 * FPS);
  await waitFor('the end of the encoder', () => encoders.counts.videoEncoders === 0);
  t.match(view(), { status: 'pushing', attempt: 0, codecs: { video: 'av01' } });
  await manager.terminate(mediaSessionId);
  t.equal(server.peers.length, 3);
  for (const [index, fourcc] of ['av01', undefined, 'av01'].entries()) await isSound(t, server.peers[index]!, fourcc);
});
