import t from 'tap';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recorded, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

// A gateway with rtmp_push_auto_start, without a prefix and without transcoding.
const target = await startNginxRtmp();
t.teardown(() => target.stop());
const { gateway, nginx, publisher } = await setStage(t, {
  settings: {
    rtmp_transponder_stream_name_prefix: '',
    rtmp_push_auto_start: true,
    rtmp_push_auto_start_url: target.rtmpUrl,
    transcoding_disabled: true,
    rtmp_out_buffer_enabled: true,
    rtmp_out_buffer_initial_size: 1000,
  },
});

await t.test('rtmp_push_auto_start pushes a stream without a prefix, delayed by the out-buffer', async (t) => {
  const page = await publisher({ name: 'auto', source: 'tone', sourceOptions: { width: 320, height: 180 } });
  const found = await waitFor('the push', async () => {
    const answer = await gateway.rest('/push/find', { streamName: 'auto' });
    return answer.status === 200 ? answer : undefined;
  });
  t.match(found.body, [{ streamName: 'auto', sourceStreamName: 'auto', rtmpUrl: target.rtmpUrl }]);
  await recorded(recordingOf(target, 'auto'), 1500);
  await waitFor('about a second in the buffer', async () => {
    const { bufferMs } = (await gateway.transponder(found.body[0].mediaSessionId))!;
    if (bufferMs >= 500 && bufferMs <= 2000) return true;
    throw new Error(`${bufferMs} ms`);
  });

  const transcoded = await gateway.rest('/push/startup', { streamName: 'auto', rtmpUrl: nginx.rtmpUrl, height: 120 });
  t.match(transcoded, {
    status: 400,
    body: { exception: 'TRANSCODING_DISABLED', message: /Transcoding required, but disabled/ },
  });
  const plain = await gateway.rest('/push/startup', { streamName: 'auto', rtmpUrl: nginx.rtmpUrl, width: 640 });
  t.match(plain, { status: 200 }, 'a width alone needs no transcoding');
  await page.stop('auto');
  await gateway.ended(found.body[0].mediaSessionId);

  const recording = await analyse(recordingOf(target, 'auto'));
  t.strictSame(recording.decodeErrors, []);
  t.match(recording.frames.at(-1), { width: 320, height: 180 });
  t.ok(recording.audio.largestGap <= 50, `no gap in the audio: ${recording.audio.largestGap} ms`);
  await page.close();
});

await t.test('with transcoding_disabled a VP8 stream is published and its push refused', async (t) => {
  const page = await publisher({
    name: 'vp8',
    stripCodecs: 'H264',
    source: 'videoOnly',
    sourceOptions: { width: 320, height: 180 },
    rtmpUrl: nginx.rtmpUrl,
  });
  const told = await page.event(
    'the refusal',
    ({ event }) => event?.type === 'transponder' && event.payload.status === 'ended',
  );
  t.match(told.event.payload.reason, /Transcoding required, but disabled/);
  t.equal(gateway.children('video-encoder').length, 0);
  await page.close();
});
