import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { analyse, recorded, recordingOf, type Recording } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';
import { startUdpRelay } from '../helpers/udp-relay.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';

t.setTimeout(FILE_TIMEOUT);

const { gateway, browser, nginx } = await setStage(t, {
  settings: { cors_origins: '*', ice_servers: 'stun:127.0.0.1:3478', publisher_resume_window_ms: 20_000 },
  nginx: { applications: ['live', 'second'] },
});
const pages = await startWhipPageServer();
t.teardown(() => pages.close());

const open = (): Promise<WhipPage> => WhipPage.open(browser, pages);
const endpoint = (name: string, ...rtmpUrls: string[]): string =>
  `${gateway.httpUrl}/whip/${name}${rtmpUrls.map((url, i) => `${i ? '&' : '?'}rtmpUrl=${encodeURIComponent(url)}`).join('')}`;

function isClean(test: Test, recording: Recording, height: number): void {
  test.strictSame(recording.decodeErrors, [], 'everything decodes');
  test.ok(recording.startsWithKeyFrame);
  test.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never step back');
  test.equal(recording.frames.at(-1)?.height, height);
  const levels = recording.levels();
  test.ok(
    levels.slice(1, -1).every((level) => Math.abs(level + 9) < 3),
    `the tone is there: ${levels.map((level) => level.toFixed(0)).join()} dBFS`,
  );
}

await t.test('plain browser code with ?rtmpUrl=, to two servers at once', async (t) => {
  const page = await open();
  const answer = await page.publish(
    endpoint('plain', nginx.rtmpUrl, `rtmp://127.0.0.1:${nginx.port}/second?key=geheim`, 'rtmp://10.0.0.1/live'),
  );
  t.match(answer, {
    status: 201,
    headers: {
      'content-type': 'application/sdp',
      location: /^\/whip\/plain\/[\w-]{36}$/,
      etag: /^"[\w-]+"$/,
      link: '<stun:127.0.0.1:3478>; rel="ice-server"',
    },
  });
  const file = recordingOf(nginx, 'rtmp_plain');
  await recorded(file, 1);
  t.comment(`first frame at the RTMP server ${Date.now() - answer.answeredAt} ms after the 201`);
  await recorded(file, 3500);

  const found = await gateway.rest('/push/find', { streamName: 'plain' });
  t.equal(found.body.length, 2, 'both pushes run');
  const history = await gateway.http('/api/v1/transponders?ended=true');
  t.match(
    history.body,
    [
      {
        status: 'ended',
        reasonCode: 'DESTINATION_FORBIDDEN',
        sourceStreamName: 'plain',
        destination: 'rtmp://10.0.0.1/live',
      },
    ],
    'the third is in the history and ended nothing',
  );
  t.notMatch(gateway.logs(), /geheim/);

  t.match(await page.request('DELETE'), { status: 200 });
  await Promise.all(found.body.map(({ mediaSessionId }: { mediaSessionId: string }) => gateway.ended(mediaSessionId)));
  t.equal((await gateway.http('/api/v1/streams')).body.length, 0, 'the stream has ended');
  t.match(await page.request('DELETE'), { status: 404 });
  isClean(t, await analyse(file), 360);
  await page.close();
});

await t.test('@eyevinn/whip-web-client, unmodified', async (t) => {
  const page = await open();
  const session = await page.eyevinn(endpoint('eyevinn', nginx.rtmpUrl));
  t.match(session, {
    resource: new RegExp(`^${gateway.httpUrl}/whip/eyevinn/`),
    etag: /^"/,
    extensions: ['<stun:127.0.0.1:3478>; rel="ice-server"'],
  });
  const file = recordingOf(nginx, 'rtmp_eyevinn');
  await recorded(file, 3000);
  await page.page.evaluate('whipPage.client.destroy()');
  await waitFor('its DELETE to end the stream', async () => (await gateway.http('/api/v1/streams')).body.length === 0);
  isClean(t, await analyse(file), 360);
  await page.close();
});

await t.test('candidates by PATCH, an ICE restart, a data channel', async (t) => {
  const page = await open();
  const { headers, text } = await page.publish(endpoint('restarts', nginx.rtmpUrl), { dataChannel: 'red5pro' });
  t.match(text, /m=application 9 UDP\/DTLS\/SCTP webrtc-datachannel/);
  await waitFor('media and the data channel', async () => {
    const { state, channel } = await page.flow('outbound-rtp');
    return state === 'connected' && channel === 'open';
  });
  const sdp = (await page.page.evaluate('whipPage.connection.localDescription.sdp')) as string;
  const fragment = [
    ...sdp.match(/^a=ice-(ufrag|pwd):.*$/gm)!.slice(0, 2),
    'm=audio 9 RTP/AVP 0',
    'a=mid:0',
    ...(sdp.match(/^a=candidate:.*$/gm) ?? []),
    'a=end-of-candidates',
    '',
  ].join('\r\n');
  const type = 'application/trickle-ice-sdpfrag';
  const trickled = await page.request('PATCH', {
    headers: { 'content-type': type, 'if-match': headers.etag! },
    body: fragment,
  });
  t.match(trickled, { status: 204, text: '' });
  t.notOk(trickled.headers.etag, 'no ETag without a restart');

  const restarted = await page.restartIce();
  t.match(restarted, {
    status: 200,
    headers: { 'content-type': type, etag: /^"[\w-]+"$/ },
    text: /^a=ice-lite\r\na=ice-ufrag:\S{4,}\r\na=ice-pwd:\S{22,}\r\n$/,
  });
  t.not(restarted.headers.etag, headers.etag, 'a new ETag');
  const before = (await page.flow('outbound-rtp')).streams.reduce((sum, { packetsSent = 0 }) => sum + packetsSent, 0);
  t.match(
    await page.request('PATCH', { headers: { 'content-type': type, 'if-match': headers.etag! }, body: fragment }),
    { status: 412 },
    'the old one is stale',
  );
  await waitFor('the browser to use the new credentials', () =>
    page.page.evaluate(
      `whipPage.connection.iceConnectionState === 'connected' || whipPage.connection.iceConnectionState === 'completed'`,
    ),
  );
  const file = recordingOf(nginx, 'rtmp_restarts');
  await recorded(file, 4000);
  const after = (await page.flow('outbound-rtp')).streams.reduce((sum, { packetsSent = 0 }) => sum + packetsSent, 0);
  t.ok(after > before + 50, 'media goes on');
  await page.request('DELETE');
  const recording = await analyse(file);
  isClean(t, recording, 360);
  t.ok(recording.audio.largestGap < 100, `no hole across the restart: ${recording.audio.largestGap} ms`);
  await page.close();
});

for (const [codec, sourceOptions] of [
  ['vp9', { width: 640, height: 360 }],
  ['av1', { width: 320, height: 180 }],
] as const) {
  await t.test(`${codec}, transcoded`, async (t) => {
    const page = await open();
    t.equal((await page.publish(endpoint(codec, nginx.rtmpUrl), { codec, sourceOptions })).status, 201);
    const file = recordingOf(nginx, `rtmp_${codec}`);
    await recorded(file, 3000, 25_000);
    await page.request('DELETE');
    isClean(t, await analyse(file), sourceOptions.height);
    await page.close();
  });
}

await t.test('audio only, video only', async (t) => {
  const only = async (source: 'audioOnly' | 'videoOnly'): Promise<void> => {
    const page = await open();
    t.equal((await page.publish(endpoint(source, nginx.rtmpUrl), { source })).status, 201);
    const file = recordingOf(nginx, `rtmp_${source}`);
    await waitFor(
      'a second of it',
      async () => {
        const recording = await analyse(file);
        return Math.max(recording.audio.last, recording.video.last) > 1000;
      },
      { every: 300 },
    );
    await page.request('DELETE');
    const { audio, video, decodeErrors } = await analyse(file);
    t.strictSame(decodeErrors, []);
    t.equal(video.count > 0, source === 'videoOnly');
    t.ok(audio.count > 10, 'audio, or silence in its place');
    await page.close();
  };
  await Promise.all([only('audioOnly'), only('videoOnly')]);
});

await t.test('a publisher that vanishes is held, and continues with the same credentials', async (t) => {
  const first = await open();
  const headers = { authorization: 'Bearer alice' };
  t.equal((await first.publish(endpoint('held', nginx.rtmpUrl), { headers })).status, 201);
  const file = recordingOf(nginx, 'rtmp_held');
  await recorded(file, 1500);
  const [{ mediaSessionId }] = (await gateway.rest('/push/find', { streamName: 'held' })).body;
  await first.page.evaluate('whipPage.connection.close()');
  await waitFor(
    'the stream to be held',
    async () => (await gateway.http('/api/v1/streams')).body[0]?.status === 'held',
  );

  const second = await open();
  t.equal(
    (await second.publish(endpoint('held'), { headers: { authorization: 'Bearer mallory' } })).status,
    409,
    'held for others',
  );
  t.equal((await second.publish(endpoint('held', nginx.rtmpUrl), { headers })).status, 201);
  await waitFor(
    'the stream to be live',
    async () => (await gateway.http('/api/v1/streams')).body[0]?.status === 'live',
  );
  t.equal((await first.request('DELETE')).status, 404, 'the first session has no more say');
  t.match(await gateway.transponder(mediaSessionId), { status: 'pushing' }, 'the same push went on');

  // A page may close its connection before it sends DELETE.
  await second.page.evaluate('whipPage.connection.close()');
  await waitFor(
    'the stream to be held',
    async () => (await gateway.http('/api/v1/streams')).body[0]?.status === 'held',
  );
  t.equal((await second.request('DELETE')).status, 200);
  t.match(await gateway.ended(mediaSessionId), { reasonCode: 'STREAM_STOPPED' }, 'DELETE ends a stream that is held');
  const recording = await analyse(file);
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
  await Promise.all([first.close(), second.close()]);
});

await t.test(
  'a publisher whose ICE checks are lost for 12 s, as may happen with Firefox, stays; one whose network fails without a stop is lost',
  async (t) => {
    const status = async (name: string): Promise<unknown> =>
      (await gateway.http('/api/v1/streams')).body.find((stream: { name: string }) => stream.name === name)?.status;
    const publishThroughRelay = async (name: string) => {
      const relay = await startUdpRelay(gateway.ports.rtc);
      t.teardown(() => relay.close());
      const page = await open();
      t.equal((await page.publish(endpoint(name), { mediaPort: relay.port })).status, 201);
      await waitFor(`${name} to be live`, async () => (await status(name)) === 'live');
      return { relay, page };
    };
    const [unchecked, gone] = await Promise.all([publishThroughRelay('unchecked'), publishThroughRelay('gone')]);
    const { lost } = unchecked.relay.counts();
    unchecked.relay.toGateway.noChecks = true;
    gone.relay.blackhole(true);
    await delay(12_000);
    unchecked.relay.toGateway.noChecks = false;
    t.ok(unchecked.relay.counts().lost > lost + 5, `${unchecked.relay.counts().lost - lost} checks were lost`);

    await waitFor('the stream whose network is gone to be held', async () => (await status('gone')) === 'held', {
      timeout: 40_000,
    });
    t.equal(
      (
        await gone.page.request('PATCH', {
          headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
          body: 'a=ice-ufrag:newu\r\na=ice-pwd:newpwdnewpwdnewpwdnewp\r\n',
        })
      ).status,
      404,
      'too late for an ICE restart',
    );
    t.equal((await gone.page.request('DELETE')).status, 200);
    t.equal(await status('gone'), undefined);
    await gone.page.close();

    t.equal(await status('unchecked'), 'live');
    await unchecked.page.request('DELETE');
    await unchecked.page.close();
  },
);

await t.test('WHEP: a page plays the stream', async (t) => {
  const [publisher, player] = await Promise.all([open(), open()]);
  t.match(await player.play(`${gateway.httpUrl}/whep/watched`), { status: 404 });
  t.equal((await publisher.publish(endpoint('watched'))).status, 201);
  await waitFor('the stream to be live', async () => (await gateway.http('/api/v1/streams')).body.length === 1);
  t.match(await player.play(`${gateway.httpUrl}/whep/watched`), {
    status: 201,
    headers: { location: /^\/whep\/watched\/[\w-]{36}$/ },
  });
  await waitFor('video and audio', async () => {
    const { streams } = await player.flow('inbound-rtp');
    return (
      streams.some(({ framesDecoded = 0, frameHeight }) => framesDecoded > 10 && frameHeight === 360) &&
      streams.some(({ totalAudioEnergy = 0 }) => totalAudioEnergy > 0)
    );
  });
  t.match(await player.request('DELETE'), { status: 200 });
  t.match(await player.request('DELETE'), { status: 404 });
  t.match(await publisher.request('DELETE'), { status: 200 });
  await Promise.all([publisher.close(), player.close()]);
});

await t.test("the gateway's own page publishes and plays", async (t) => {
  const page = await browser.newPage();
  await page.goto(`${gateway.httpUrl}/console/whip.html`);
  await page.fill('#stream-name', 'page one');
  await page.fill('#rtmp-url', nginx.rtmpUrl);
  await page.click('#publish');
  await page.waitForSelector('#publish-state[data-tone=good]');
  await page.click('#watch');
  await waitFor('the frame', () =>
    page
      .locator('#player')
      .evaluate(
        (video: { videoWidth: number; currentTime: number }) => video.videoWidth > 0 && video.currentTime > 0.5,
      ),
  );
  t.match(await gateway.http('/api/v1/streams'), { body: [{ name: 'page one', status: 'live', transponders: 1 }] });
  if (process.env.SHOT) await page.screenshot({ path: process.env.SHOT });
  await page.click('#publish');
  await waitFor('the stream to end', async () => (await gateway.http('/api/v1/streams')).body.length === 0);
  await page.locator('#publish-state', { hasText: 'Ended.' }).waitFor();
  await page.locator('#watch-state[data-tone=bad]', { hasText: 'The stream has ended' }).waitFor();
  await page.fill('#stream-name', 'nobody');
  await page.click('#watch');
  await page.locator('#watch-state', { hasText: 'Stream not found' }).waitFor();
  await page.close();
});
