import t, { type Test } from 'tap';
import type { RestAnswer } from '../helpers/gateway.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import {
  analyse,
  findRecording,
  firstFrame,
  MOST_SOUND_LAG,
  recorded,
  recordingOf,
  type Recording,
} from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const { gateway, nginx, openPage, publisher } = await setStage(t, {
  nginx: { applications: ['live', 'second', 'third'] },
});

/** Checks that hold for every recording of the fake camera. */
function looksRight(test: Test, recording: Recording, size: { width: number; height: number }): void {
  test.strictSame(recording.decodeErrors, [], 'everything decodes');
  test.ok(recording.startsWithKeyFrame, 'starts with a key frame');
  test.strictSame(recording.video.stepsBack, [], 'video timestamps never step back');
  test.strictSame(recording.audio.stepsBack, [], 'audio timestamps never step back');
  test.ok(
    recording.audio.largestGap <= 50,
    `no gap in the audio: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
  );
  test.ok(
    Math.abs(recording.frames.length - recording.video.count) <= 1,
    `${recording.frames.length} of ${recording.video.count} frames decode`,
  );
  const seconds = (recording.video.last - recording.video.first) / 1000;
  test.ok(recording.video.count / seconds >= 8, `${(recording.video.count / seconds).toFixed(1)} frames a second`);
  const { width, height } = recording.frames.at(-1)!;
  test.strictSame({ width, height }, size, 'size of the frame');
  test.ok(
    Math.abs(recording.audio.first - recording.video.first) <= 100,
    `tracks start together: ${recording.audio.first} and ${recording.video.first}`,
  );
  // The encoder delays audio, and what it still holds at the end of the push is dropped.
  test.ok(
    Math.abs(recording.audio.last - recording.video.last) <= MOST_SOUND_LAG,
    `tracks end together: ${recording.audio.last} and ${recording.video.last}`,
  );
  test.ok(
    Math.max(...recording.keyFrameIntervals, 0) <= 4000,
    `key frames at most 4 s apart: ${recording.keyFrameIntervals.join()}`,
  );
}

/** The fake microphone beeps: some of its periods are loud, others silent. */
function hasBeeps(test: Test, recording: Recording): void {
  const moments = Array.from({ length: Math.floor(recording.audio.last / 50) }, (_, i) =>
    recording.level(i * 50, i * 50 + 50),
  );
  test.ok(Math.max(...moments) > -30, `beeps are loud: ${Math.max(...moments).toFixed(1)} dBFS`);
  test.ok(Math.min(...moments) < -50, `silence between them: ${Math.min(...moments).toFixed(1)} dBFS`);
}

const errorShape = (status: number, exception: string): object => ({
  status,
  body: { status, exception, path: '/rest-api/push/startup', message: String, timestamp: Number },
});

await t.test('a page publishes with rtmpUrl, and the RTMP server receives it', async (t) => {
  const page = await publisher({ name: 'direct', rtmpUrl: nginx.rtmpUrl });
  const event = await page.event(
    'the event that the push runs',
    ({ event }) => event?.type === 'transponder' && event.payload.status === 'pushing',
  );
  t.match(event.event.payload, { mediaSessionId: String, status: 'pushing' });

  const file = recordingOf(nginx, 'rtmp_direct');
  await recorded(file, 4000);
  const found = await gateway.rest('/push/find', { streamName: 'direct' });
  t.match(found, {
    status: 200,
    body: [
      {
        streamName: 'rtmp_direct',
        rtmpUrl: nginx.rtmpUrl,
        status: 'pushing',
        width: 640,
        height: 480,
        muted: false,
        soundEnabled: false,
      },
    ],
  });

  t.match(await page.stop('direct'), { status: 'UNPUBLISHED', info: 'Stopped by user' });
  await gateway.ended(found.body[0].mediaSessionId);
  const recording = await analyse(file);
  looksRight(t, recording, { width: 640, height: 480 });
  hasBeeps(t, recording);
  await page.close();
});

await t.test('a page publishes, and REST starts pushes', async (t) => {
  const page = await publisher({ name: 'camera' });
  t.equal(
    gateway.children().filter(({ role }) => role !== 'media-worker').length,
    0,
    'nothing is encoded for a stream without consumers',
  );

  await t.test('with 40 ms of audio in a packet, as requested', async (t) => {
    const before = await waitFor('the first packets', async () =>
      (await page.audioSent()).packets > 0 ? page.audioSent() : undefined,
    );
    const after = await waitFor('25 more of them', async () => {
      const now = await page.audioSent();
      return now.packets >= before.packets + 25 ? now : undefined;
    });
    const packetMs = ((after.seconds - before.seconds) / (after.packets - before.packets)) * 1000;
    t.ok(packetMs > 33 && packetMs < 47, `${packetMs.toFixed(1)} ms`);
  });

  const asked = performance.now();
  const first = await gateway.startPush({ streamName: 'camera', rtmpUrl: nginx.rtmpUrl });
  t.match(first, {
    mediaSessionId: String,
    streamName: 'rtmp_camera',
    sourceStreamName: 'camera',
    rtmpUrl: nginx.rtmpUrl,
  });
  const firstFile = recordingOf(nginx, 'rtmp_camera');
  await firstFrame(firstFile);
  t.comment(
    `first frame at the RTMP server ${Math.round(performance.now() - asked)} ms after /push/startup, nothing running`,
  );
  await gateway.reached(first.mediaSessionId, 'pushing');

  await t.test('the same destination again: 409', async (t) => {
    const again = await gateway.rest('/push/startup', { streamName: 'camera', rtmpUrl: nginx.rtmpUrl });
    t.match(again, errorShape(409, 'TRANSPONDER_EXISTS'));
  });

  await t.test('two simultaneous requests: one wins', async (t) => {
    const request = {
      streamName: 'camera',
      rtmpUrl: `rtmp://127.0.0.1:${nginx.port}/second/twice`,
      rtmpTransponderFullUrl: true,
    };
    const answers = await Promise.all([gateway.rest('/push/startup', request), gateway.rest('/push/startup', request)]);
    t.strictSame(answers.map(({ status }) => status).sort(), [200, 409]);
    const winner = answers.find(({ status }) => status === 200)!;
    t.equal((await gateway.rest('/push/terminate', { mediaSessionId: winner.body.mediaSessionId })).status, 200);
  });

  await t.test('more destinations of the same stream share its encoder', async (t) => {
    const asked = performance.now();
    const second = await gateway.startPush({
      streamName: 'camera',
      rtmpUrl: `rtmp://127.0.0.1:${nginx.port}/second/b`,
      rtmpTransponderFullUrl: true,
    });
    const third = await gateway.startPush({
      streamName: 'camera',
      rtmpUrl: `rtmp://127.0.0.1:${nginx.port}/third/c`,
      rtmpTransponderFullUrl: true,
    });
    await firstFrame(recordingOf(nginx, 'b'));
    t.comment(
      `first frame at the RTMP server ${Math.round(performance.now() - asked)} ms after /push/startup, encoder running`,
    );
    await Promise.all([second, third].map(({ mediaSessionId }) => gateway.reached(mediaSessionId, 'pushing')));
    t.equal(gateway.children('audio-encoder').length, 1, 'one audio encoder');
    t.equal(gateway.children('video-encoder').length, 0, 'no video encoder: H.264 is passed through');

    await Promise.all(['b', 'c'].map((name) => recorded(recordingOf(nginx, name), 3000)));
    for (const { mediaSessionId } of [second, third]) {
      const answer = await gateway.rest('/push/terminate', { mediaSessionId });
      t.match(answer, { status: 200, text: '' }, 'void: 200 and an empty body');
      t.equal(await gateway.transponder(mediaSessionId), undefined, 'gone from find');
      t.match(await gateway.rest('/push/terminate', { mediaSessionId }), {
        status: 404,
        body: { exception: 'TRANSPONDER_NOT_FOUND' },
      });
    }
    for (const name of ['b', 'c']) looksRight(t, await analyse(recordingOf(nginx, name)), { width: 640, height: 480 });
    t.match(await gateway.transponder(first.mediaSessionId), { status: 'pushing' }, 'the first one went on');
  });

  await t.test('find and find_all', async (t) => {
    for (const filter of [
      {},
      { streamName: 'camera' },
      { streamName: 'rtmp_camera' },
      { rtmpUrl: nginx.rtmpUrl },
      { mediaSessionId: first.mediaSessionId },
    ]) {
      t.match(
        await gateway.rest('/push/find', filter),
        { status: 200, body: [{ mediaSessionId: first.mediaSessionId }] },
        JSON.stringify(filter),
      );
    }
    t.match(await gateway.rest('/push/find', { streamName: 'other' }), {
      status: 404,
      body: { exception: 'TRANSPONDER_NOT_FOUND' },
    });
    // The official client sends find_all as GET, and as POST with an empty body.
    t.match(await gateway.rest('/push/find_all', undefined, 'GET'), { status: 200, body: { length: 1 } });
    t.match(await gateway.rest('/push/find_all', undefined, 'POST'), { status: 200, body: { length: 1 } });
  });

  await t.test('invalid requests: 400 with the reason, 404', async (t) => {
    const startup = (request: object): Promise<RestAnswer> =>
      gateway.rest('/push/startup', { streamName: 'camera', rtmpUrl: `${nginx.rtmpUrl}/x`, ...request });
    t.match(await startup({ streamName: 'nobody' }), errorShape(404, 'STREAM_NOT_FOUND'));
    t.match(await startup({ rtmpUrl: undefined }), errorShape(400, 'INVALID_REQUEST'));
    t.match(await startup({ rtmpUrl: 'not a url' }), errorShape(400, 'INVALID_RTMP_URL'));
    t.match(await startup({ rtmpUrl: 'http://127.0.0.1/live' }), errorShape(400, 'INVALID_RTMP_URL'));
    t.match(
      await startup({ rtmpUrl: 'rtmp://no-such-host.invalid/live' }),
      errorShape(400, 'DESTINATION_NOT_RESOLVED'),
    );
    t.match(await startup({ rtmpUrl: 'rtmp://10.0.0.1/live' }), errorShape(400, 'DESTINATION_FORBIDDEN'));
    t.match(await startup({ height: 'tall' }), errorShape(400, 'INVALID_REQUEST'));
    t.match(await startup({ fps: -1 }), errorShape(400, 'INVALID_REQUEST'));
    const misspelt = await startup({ rtmpUrl: undefined, rtmpURL: 'rtmp://127.0.0.1/live' });
    t.match(misspelt, errorShape(400, 'INVALID_REQUEST'));
    t.match(misspelt.body.message, /rtmpURL/, 'the unknown field is named beside the missing one');
    t.match(await gateway.rest('/push/terminate', {}), { status: 400 });
    t.match(await gateway.rest('/push/terminate', { mediaSessionId: 'nobody' }), { status: 404 });
    t.match(
      await gateway.rest('/push/find_all', undefined, 'GET'),
      { body: { length: 1 } },
      'none of them started anything',
    );
  });

  await t.test('another page plays the stream', async (t) => {
    const viewer = await openPage();
    await viewer.connect(gateway.wsUrl);
    t.match(await viewer.available('camera'), { available: true });
    t.match(await viewer.available('nobody'), { available: false });
    t.match(await viewer.play({ name: 'nobody' }), { status: 'FAILED', info: 'Stream not found' });
    t.match(await viewer.play({ name: 'camera' }), { status: 'PLAYING' });
    const seen = await waitFor('video and audio in the player', async () => {
      const playback = await viewer.playback();
      if (playback && playback.framesDecoded >= 10 && playback.width > 0 && playback.audioEnergy > 0) return playback;
      throw new Error(JSON.stringify(playback));
    });
    t.match(seen, { width: 640, height: 480 });
    t.match(await viewer.stop('camera'), { status: 'STOPPED' });
    await viewer.close();
  });

  await t.test('a second publisher of the same name is refused', async (t) => {
    const rival = await openPage();
    await rival.connect(gateway.wsUrl);
    t.match(await rival.publish({ name: 'camera' }), { status: 'FAILED', info: 'Stream name is already in use' });
    await rival.close();
  });

  t.match(await page.stop('camera'), { status: 'UNPUBLISHED', info: 'Stopped by user' });
  t.match(await gateway.ended(first.mediaSessionId), { status: 'ended', reasonCode: 'STREAM_STOPPED' });
  await waitFor('the encoder to end', () => gateway.children().every(({ role }) => role === 'media-worker'));
  const recording = await analyse(firstFile);
  looksRight(t, recording, { width: 640, height: 480 });
  hasBeeps(t, recording);
  await page.close();
});

await t.test('node-media-server receives a stream', async (t) => {
  const server = await startNodeMediaServer();
  t.teardown(() => server.stop());
  const page = await publisher({ name: 'elsewhere', rtmpUrl: server.rtmpUrl });
  const file = await findRecording(server, 'rtmp_elsewhere');
  await recorded(file, 3000);
  await page.stop('elsewhere');
  const recording = await analyse(file);
  looksRight(t, recording, { width: 640, height: 480 });
  hasBeeps(t, recording);
  await page.close();
});

await t.test('a page publishes over TCP', async (t) => {
  const page = await publisher({ name: 'tcp', rtmpUrl: nginx.rtmpUrl, transport: 'TCP' });
  await recorded(recordingOf(nginx, 'rtmp_tcp'), 2000);
  const protocols = await page.page.evaluate(`(async () => {
    const stats = [...(await hooks.connections.at(-1).getStats()).values()];
    return stats.filter(({ type, nominated }) => type === 'candidate-pair' && nominated).map((pair) => stats.find(({ id }) => id === pair.localCandidateId).protocol);
  })()`);
  t.strictSame([...new Set(protocols as string[])], ['tcp']);
  await page.stop('tcp');
  looksRight(t, await analyse(recordingOf(nginx, 'rtmp_tcp')), { width: 640, height: 480 });
  await page.close();
});
