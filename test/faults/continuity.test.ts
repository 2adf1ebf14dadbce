import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { randomFrom } from '../helpers/random.ts';
import { analyse, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { waitFor } from '../helpers/wait.ts';

/** A publisher that is killed again and again at random moments: the push goes on over one connection. */

const LONG = process.env['LONG_TESTS'] === '1';
/** The gateway notices a loss without a goodbye after about ten seconds. */
const KILLS = LONG ? 50 : 2;
const FPS = 30;
/** Two frames, and rounding. */
const MAX_VIDEO_GAP_MS = 2 * Math.ceil(1000 / FPS) + 8;
/** The publisher has a key frame every half second, and the machine may be busy. */
const BACK_WITHIN_MS = 2000;
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

t.setTimeout(LONG ? 1_800_000 : 180_000);

const publishes: string[] = [];
const [gateway, nginx, ...media] = await Promise.all([
  startGateway({ publisher_resume_window_ms: 0 }),
  startNginxRtmp({
    onPublish: (parameters) => {
      publishes.push(parameters.get('name') ?? '');
      return 200;
    },
  }),
  createMedia('640x360', FPS),
  createMedia('360x640', FPS),
]);
t.teardown(async () => {
  await Promise.all([...media.map((each) => each.remove()), gateway.stop()]);
  await nginx.stop();
});

await t.test(`a publisher that is killed ${KILLS} times`, async (t) => {
  t.comment(`SEED=${SEED}`);
  const random = randomFrom(SEED);
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'show',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 1000, text: 'One moment', startWithStandby: true },
  });
  const file = recordingOf(nginx, 'rtmp_show');
  await gateway.reached(mediaSessionId, 'standby');

  const returns: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const { video, audio } = media[kill % media.length]!;
    const publisher = await MediaPublisher.start({ httpUrl: gateway.httpUrl, stream: 'show', fps: FPS, video, audio });
    const startedAt = performance.now();
    await waitFor('live video', async () => (await gateway.transponder(mediaSessionId))!.status === 'pushing', {
      every: 20,
    });
    returns.push(performance.now() - startedAt);
    await sleep(random() * 2000);
    await publisher.kill();
    await waitFor('the loss to be noticed', async () => (await gateway.http('/api/v1/streams')).body.length === 0, {
      timeout: 60_000,
      every: 20,
    });
    await sleep(random() * 1000);
  }
  await recorded(file, (await recordedUntil(file)).video + 1000);
  t.match(await gateway.transponder(mediaSessionId), { status: 'standby', attempt: 0 });
  await gateway.rest('/push/terminate', { mediaSessionId });

  t.strictSame(publishes, ['rtmp_show'], 'one RTMP session');
  const recording = await analyse(file);
  t.strictSame(recording.decodeErrors, []);
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
  const { largestGap, largestGapAt } = recording.video;
  t.ok(largestGap <= MAX_VIDEO_GAP_MS, `no gap in the video: ${largestGap} ms at ${largestGapAt}`);
  t.ok(recording.audio.largestGap <= 45, `no gap in the audio: ${recording.audio.largestGap} ms`);
  t.ok(Math.max(...returns) < BACK_WITHIN_MS, `live after ${returns.map(Math.round).join(', ')} ms`);
});
