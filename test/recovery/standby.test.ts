import t from 'tap';
import { analyse, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const publishes: string[] = [];
const { gateway, nginx, publisher } = await setStage(t, {
  settings: { publisher_resume_window_ms: 2000 },
  nginx: {
    onPublish: (parameters) => {
      publishes.push(parameters.get('name') ?? '');
      return 200;
    },
  },
});

await t.test('Chromium leaves, returns within the resume window, leaves, and returns after it', async (t) => {
  const source = { source: 'tone', sourceOptions: { width: 640, height: 360 } } as const;
  let page = await publisher({ name: 'show', ...source });
  const { mediaSessionId } = await gateway.startPush({
    streamName: 'show',
    rtmpUrl: nginx.rtmpUrl,
    standby: { freezeMs: 1000, text: 'Back soon' },
  });
  const file = recordingOf(nginx, 'rtmp_show');
  await recorded(file, 4000);
  for (const returns of ['within the window', 'after it']) {
    await page.close();
    const state = await gateway.reached(mediaSessionId, 'standby');
    t.match(state, { standby: { reason: 'publisher' }, publisherAway: { until: String } }, returns);
    if (returns === 'after it')
      await waitFor('the end of the stream', async () => (await gateway.http('/api/v1/streams')).body.length === 0);
    page = await publisher({ name: 'show', ...source });
    await gateway.reached(mediaSessionId, 'pushing');
    await recorded(file, (await recordedUntil(file)).video + 2000);
  }
  await gateway.rest('/push/terminate', { mediaSessionId });
  await page.close();

  t.strictSame(publishes, ['rtmp_show'], 'one RTMP session');
  const recording = await analyse(file);
  t.strictSame(recording.decodeErrors, []);
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
  t.ok(recording.audio.largestGap <= 50, `no gap in the audio: ${recording.audio.largestGap} ms`);
  t.ok(
    recording.video.largestGap <= 200,
    `Chromium's frames are irregular, but there is no hole: ${recording.video.largestGap} ms at ${recording.video.largestGapAt}`,
  );
  const levels = recording.levels();
  t.ok(
    levels[1]! > -15 && Math.max(...levels.slice(-2)) > -15,
    `audio before and after: ${levels.map(Math.round).join()}`,
  );
});
