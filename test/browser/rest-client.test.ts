import t from 'tap';
import type { SdkPage } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';

t.setTimeout(FILE_TIMEOUT);

// A page of another origin than the gateway's; every URL names its stream.
const { gateway, nginx, openPage, publisher } = await setStage(t, {
  settings: { cors_origins: '*', rtmp_transponder_full_url: true },
});

const CLIENT = "import('/websdk/flashphoner-rest-api.js').then(() => {})";

/** Calls a method of the official client in the page, such as `push.find`. */
async function call(page: SdkPage, method: string, ...args: unknown[]): Promise<unknown> {
  const values = args.map((arg) => JSON.stringify(arg) ?? 'undefined').join();
  return page.page.evaluate(
    `FlashphonerRestApi.instance('${gateway.httpUrl}', '${gateway.httpUrl}').${method}(${values})`,
  );
}

await t.test('the official WCS REST client, unmodified: pushes', async (t) => {
  const page = await publisher({ name: 'show', source: 'tone', sourceOptions: { width: 320, height: 180 } });
  await page.page.evaluate(CLIENT);

  const rtmpUrl = `${nginx.rtmpUrl}/official`;
  const { mediaSessionId } = (await call(page, 'push.push', 'show', rtmpUrl)) as { mediaSessionId: string };
  await gateway.reached(mediaSessionId, 'pushing');
  t.match(
    await call(page, 'push.find', 'show', rtmpUrl),
    [{ mediaSessionId, streamName: 'official' }],
    'the client sends rtmpTransponderFullUrl: false by default',
  );
  await call(page, 'push.mute', mediaSessionId);
  // Its soundOff throws before it sends a request.
  await call(page, 'push.soundOn', mediaSessionId, 'sound.wav', true);
  t.match(await call(page, 'push.findAll'), [{ muted: true, soundEnabled: true }]);
  await call(page, 'push.unmute', mediaSessionId);
  t.match(await call(page, 'push.find'), [{ muted: false }]);
  await call(page, 'push.terminate', mediaSessionId);
  await t.rejects(call(page, 'push.findAll'), 'no push is left');
  await page.close();
});

await t.test('the same client: streams, connections, statistics', async (t) => {
  const page = await publisher({ name: 'cam', source: 'tone', sourceOptions: { width: 320, height: 180 } });
  const viewer = await openPage();
  await viewer.page.evaluate(CLIENT);
  await viewer.connect(gateway.wsUrl);
  t.match(await viewer.play({ name: 'cam' }), { status: 'PLAYING' });

  type Entry = { readonly mediaSessionId: string; readonly sessionId: string };
  const [published] = (await call(viewer, 'stream.find', undefined, 'cam', true, true)) as [Entry];
  t.match(published, {
    name: 'cam',
    published: true,
    status: 'PUBLISHING',
    mediaProvider: 'WebRTC',
    appKey: 'defaultApp',
    videoCodec: 'H264',
    transport: 'UDP',
    metrics: { VIDEO_CODEC: Number, VIDEO_RATE: Number, AUDIO_RATE: Number, AUDIO_LOST: Number },
  });
  const [played] = (await call(viewer, 'stream.find', undefined, 'cam', false)) as [Entry];
  t.match(played, { name: 'cam', published: false, status: 'PLAYING' });
  t.equal(((await call(viewer, 'stream.findAll')) as Entry[]).length, 2);
  t.match(await call(viewer, 'stat.poll'), {
    connection: { connections: '2', connections_websocket: '2' },
    stream: { streams_webrtc_in: '1', streams_webrtc_out: '1', streams_rtmp_out: '0', streams_viewers: 'cam/1' },
    core: { core_java_uptime: /^\d+$/ },
  });

  const post = async (path: string, body: object): Promise<Response> => {
    const answer = await fetch(`${gateway.httpUrl}/rest-api${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    t.equal(answer.status, 200, path);
    return answer;
  };
  const snapshot = (await (await post('/stream/snapshot', { streamName: 'cam' })).json()) as { data: string };
  const size = await viewer.page.evaluate(
    `new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve([image.width, image.height]);
      image.onerror = reject;
      image.src = 'data:image/png;base64,${snapshot.data}';
    })`,
  );
  t.strictSame(size, [320, 180]);
  t.match(Buffer.from(snapshot.data, 'base64').subarray(1, 4).toString(), 'PNG');

  await post('/stream/event/send', { streamName: 'cam', payload: { score: 3 } });
  await viewer.event('data for the players', ({ event }) => event?.type === 'data' && event.payload.score === 3);
  await viewer.page.evaluate(
    `testPage.session.on(Flashphoner.constants.SESSION_STATUS.APP_DATA, (data) =>
      testPage.events.push({ what: 'session', status: 'APP_DATA', event: data }))`,
  );
  await post('/data/send', { sessionId: played.sessionId, operationId: 'op', payload: { text: 'hello' } });
  const data = await viewer.event('data for the page', ({ status }) => status === 'APP_DATA');
  t.strictSame(data.event, { operationId: 'op', payload: { text: 'hello' } });

  const ofPublisher = (entry: unknown): boolean => (entry as Entry).sessionId === published.sessionId;
  const connections = (await call(viewer, 'connection.findAll')) as (Entry & { clientVersion: string })[];
  t.equal(connections.length, 2);
  const { clientVersion } = connections.find(ofPublisher)!;
  t.ok(((await call(viewer, 'connection.find', clientVersion)) as unknown[]).some(ofPublisher));

  const info = 'Stopped by rest /terminate';
  await call(viewer, 'stream.terminate', played.mediaSessionId);
  const stopped = await viewer.event('the end of the player', ({ status }) => status === 'STOPPED');
  t.equal(stopped.info, info);
  await call(viewer, 'connection.terminate', published.sessionId);
  const ended = await page.event('the end of the stream', ({ status }) => status === 'UNPUBLISHED');
  t.equal(ended.info, info);
  await page.event('the end of the connection', ({ what, status }) => what === 'session' && status === 'DISCONNECTED');
  await t.rejects(call(viewer, 'stream.findAll'), 'no stream is left');
  t.equal(((await call(viewer, 'connection.findAll')) as Entry[]).length, 1);

  // What the gateway does not have is refused.
  for (const method of [
    'connection.setLogLevel',
    'pull.findAll',
    'rtsp.findAll',
    'cdn.showRoutes',
    'api.findAll',
    'call.findAll',
    'mixer.findAll',
  ])
    await t.rejects(call(viewer, method), method);
});
