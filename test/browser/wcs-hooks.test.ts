import t from 'tap';
import { startApplicationServer, type Answer } from '../helpers/application-server.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const restClientConfig = {
  publishStream: { restPolicy: 'OVERWRITE', restOverwrite: 'name' },
  playStream: { restPolicy: 'OVERWRITE' },
};
/** Admits clients with a certain token, denies the stream `forbidden`, and hides the real names of streams. */
const application: Answer = (response, { path, body }) => {
  const deny = (info: string): void => void response.writeHead(403).end(JSON.stringify({ info }));
  const { name, custom } = body as { name?: string; custom?: { token?: string } };
  if (path === '/connect' && custom?.token !== 'good') return deny('Who are you?');
  if (name === 'forbidden') return deny('Not this stream');
  const isStream = path === '/publishStream' || path === '/playStream';
  response.end(
    JSON.stringify({ ...body, restClientConfig, ...(isStream && { name: `${name}-real`, hasVideo: false }) }),
  );
};

const server = await startApplicationServer(t, application);
const { gateway, openPage } = await setStage(t, { settings: { wcs_hooks_url: server.url, rest_api_key: 'k3y' } });
const streams = async (): Promise<string[]> => {
  const { body } = await gateway.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } });
  return (body as { name: string }[]).map(({ name }) => name);
};

t.test('a denied connection: the SDK gets FAILED, after WARN with the reason', async (t) => {
  const page = await openPage();
  await t.rejects(page.connect(gateway.wsUrl, { custom: { token: 'bad' } }), /session FAILED/);
  const events = (await page.events()).filter(({ what }) => what === 'session');
  t.match(
    events.map(({ status, info }) => ({ status, info })),
    [{ status: 'CONNECTED' }, { status: 'WARN', info: /denies access: Who are you\?/ }, { status: 'FAILED' }],
  );
  t.equal(events.length, 3);
  await page.page.close();
});

t.test('streams: denied, allowed under another name, played under another name', async (t) => {
  const page = await openPage();
  await page.connect(gateway.wsUrl, { custom: { token: 'good' } });
  t.match(await page.publish({ name: 'forbidden' }), { status: 'FAILED', info: /Not this stream/ });
  t.match(await page.publish({ name: 'cam1' }), { status: 'PUBLISHING' });
  t.strictSame(await streams(), ['cam1-real']);
  const viewer = await openPage();
  await viewer.connect(gateway.wsUrl, { custom: { token: 'good' } });
  t.match(await viewer.play({ name: 'forbidden' }), { status: 'FAILED', info: /Not this stream/ });
  t.match(await viewer.play({ name: 'cam1' }), { status: 'PLAYING' });
  await waitFor('frames', async () => ((await viewer.playback())?.framesDecoded ?? 0) > 0);
  const receipt = await page.page.evaluate(`testPage.session.sendData({ text: 'hi' })`);
  t.match(receipt, { status: 'ACCEPTED' });
  t.match((await server.received('/sendData')).body, { payload: { text: 'hi' } });
  t.match(await viewer.stop('cam1'), { status: 'STOPPED' });
  t.match(await page.stop('cam1'), { status: 'UNPUBLISHED' });
  t.strictSame(await streams(), []);
  const { body: publishing } = await server.received('/StreamStatusEvent', ({ body }) => body.status === 'PUBLISHING');
  t.match(publishing, { name: 'cam1-real', published: true, hasVideo: true, mediaProvider: 'WebRTC' });
  t.match(publishing.sdp, /^v=0/);
  await page.page.close();
  const ended = await server.received(
    '/ConnectionStatusEvent',
    ({ body }) => body.status === 'DISCONNECTED' && body.sessionId === publishing.sessionId,
  );
  t.ok(ended);
  t.strictSame(
    server.requests
      .filter(({ body }) => body.sessionId === publishing.sessionId)
      .map(({ path, body }) => `${path.slice(1)} ${body.name ?? ''} ${body.status ?? ''}`.trimEnd())
      .filter((hook) => !hook.startsWith('sendData')),
    [
      'connect  PENDING',
      'ConnectionStatusEvent  ESTABLISHED',
      'publishStream forbidden PENDING',
      'StreamStatusEvent forbidden FAILED',
      'publishStream cam1 PENDING',
      'StreamStatusEvent cam1-real PUBLISHING',
      'unPublishStream cam1-real UNPUBLISHED',
      'StreamStatusEvent cam1-real UNPUBLISHED',
      'ConnectionStatusEvent  DISCONNECTED',
    ],
  );
  await viewer.page.close();
});
