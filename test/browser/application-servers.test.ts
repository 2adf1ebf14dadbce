import t from 'tap';
import type { TransponderView } from '../../src/views/push-view.ts';
import { startApplicationServer, type Answer } from '../helpers/application-server.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const rtmpPort = await freePort();
const pushes = [
  { rtmpUrl: `rtmp://127.0.0.1:${rtmpPort}/live`, options: { action: 'mute' } },
  { rtmpUrl: 'rtmp://10.1.2.3/live/STREAM-KEY' },
];
/** `auth_url`, Red5 Pro's round trip and a receiver of webhooks. */
const application: Answer = (response, { path, body }) => {
  if (path === '/auth') response.end(JSON.stringify(body.action === 'publish' ? { rename: 'cam1-2026', pushes } : {}));
  else if (path === '/validateCredentials') response.end(JSON.stringify({ result: String(body.token === 'good') }));
  else response.end('{"result": true}');
};

const server = await startApplicationServer(t, application);
const { gateway, openPage } = await setStage(t, {
  settings: {
    rest_api_key: 'k3y',
    publisher_resume_window_ms: 1000,
    auth_url: `${server.url}/auth`,
    roundtrip_host: '127.0.0.1',
    roundtrip_port: server.port,
    webhook_urls: `${server.url}/events`,
    webhook_secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}`,
    embedded_rtmp_server: true,
    embedded_rtmp_port: rtmpPort,
    embedded_http_flv_port: await freePort(),
  },
});
const get = async <T>(path: string): Promise<T[]> =>
  (await gateway.http(`/api/v1/${path}`, { headers: { authorization: 'Bearer k3y' } })).body as T[];

t.test('auth_url: published under another name, and pushed where the application says', async (t) => {
  const page = await openPage();
  await page.connect(gateway.wsUrl);
  t.match(await page.publish({ name: 'cam1' }), { status: 'PUBLISHING' });
  t.match(await get('streams'), [{ name: 'cam1-2026', status: 'live' }]);
  const running = await waitFor('its push', async () => {
    const [push] = await get<TransponderView>('transponders');
    return push?.status === 'pushing' ? push : undefined;
  });
  t.match(running, { sourceStreamName: 'cam1-2026', muted: true });
  await page.event(
    'the refused push',
    ({ event }) => event?.type === 'transponder' && event.payload.status === 'ended',
  );
  t.match(await get('transponders?ended=true'), [{ reasonCode: 'DESTINATION_FORBIDDEN' }]);
  const { body } = await server.received('/events', ({ body }) => body.type === 'push.ended');
  t.match(body.data, { stream: 'cam1-2026', destination: /10\.1\.2\.3/, code: 'DESTINATION_FORBIDDEN', bytesSent: 0 });
  t.match(await page.stop('cam1'), { status: 'UNPUBLISHED' });
  t.strictSame(await get('streams'), []);
  t.notMatch(JSON.stringify([body, await page.events(), gateway.logs()]), /STREAM-KEY/);
  await page.page.close();
});

t.test("Red5 Pro's round trip: validated, and invalidated when the stream ends", async (t) => {
  const page = await openPage();
  await page.connect(gateway.wsUrl, { custom: { token: 'good' } });
  t.match(await page.publish({ name: 'cam2', custom: { token: 'bad' } }), {
    status: 'FAILED',
    info: /denies the action/,
  });
  t.match(await page.publish({ name: 'cam1' }), { status: 'PUBLISHING' });
  const validated = await server.received('/validateCredentials', ({ body }) => body.token === 'good');
  t.match(validated.body, { username: '', password: '', type: 'publisher', streamID: 'cam1' });
  t.match(await page.play({ name: 'cam1' }), { status: 'PLAYING' });
  t.ok(await server.received('/validateCredentials', ({ body }) => body.type === 'subscriber'));
  t.notOk(server.requests.some(({ path }) => path === '/invalidateCredentials'));
  t.ok(await server.received('/validateCredentials', ({ body }) => body.token === 'bad'));
  // The stream is held for the publisher first.
  await page.page.close();
  const { body } = await server.received('/invalidateCredentials');
  t.strictSame(body, validated.body);
});
