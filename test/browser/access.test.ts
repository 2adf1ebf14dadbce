import t from 'tap';
import { issueToken } from '../../src/access/issue-token.ts';
import { JwtClaimsSchema } from '../../src/access/jwt-claims.ts';
import { Secret } from '../../src/net/secret.ts';
import type { SdkPage } from '../helpers/sdk-page.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
const sign = (claims: object): Promise<string> =>
  issueToken(
    JwtClaimsSchema.parse({
      sub: 'alice',
      exp: inSeconds(120),
      act: ['publish', 'play', 'push'],
      streams: ['cam1'],
      ...claims,
    }),
    new Secret(SECRET),
  );

const rtmpPort = await freePort();
const { gateway, openPage } = await setStage(t, {
  settings: {
    jwt_secret: SECRET,
    rest_api_key: 'k3y',
    embedded_rtmp_server: true,
    embedded_rtmp_port: rtmpPort,
    embedded_http_flv_port: await freePort(),
  },
});
const rtmpUrl = `rtmp://127.0.0.1:${rtmpPort}/live`;
const asOperator = { headers: { authorization: 'Bearer k3y' } };

t.test('the official SDK is refused without a token, and with one that has expired', async (t) => {
  for (const [options, info] of [
    [{}, /key or a token is required/],
    [{ authToken: await sign({ exp: inSeconds(-1) }) }, /has expired/],
  ] as const) {
    const page = await openPage();
    await t.rejects(page.connect(gateway.wsUrl, options), /session FAILED/);
    const warning = await page.event('the reason', ({ status }) => status === 'WARN');
    t.match(warning.info, info);
    await page.page.close();
  }
});

t.test('with a token it publishes its stream to its destination, and nothing else', async (t) => {
  const page = await openPage();
  await page.connect(gateway.wsUrl, { authToken: await sign({ destinations: ['127.0.0.1'] }) });
  t.match(await page.publish({ name: 'cam2' }), { status: 'FAILED', info: /do not include the stream "cam2"/ });
  t.match(await page.publish({ name: 'cam1', rtmpUrl }), { status: 'PUBLISHING' });
  const transponder = (status: string, reason: RegExp) =>
    page.event(
      `transponder ${status}`,
      ({ event }) =>
        event?.type === 'transponder' && event.payload.status === status && reason.test(event.payload.reason as string),
      20_000,
    );
  await transponder('pushing', /^$/);
  const viewer = await openPage();
  await viewer.connect(gateway.wsUrl, { custom: { token: await sign({ act: ['play'] }) } });
  t.match(await viewer.play({ name: 'cam1' }), { status: 'PLAYING' });
  t.match(await viewer.publish({ name: 'cam1' }), { status: 'FAILED', info: /action "publish": they allow only play/ });
  await viewer.page.close();
  await page.stop('cam1');
  t.match(await page.publish({ name: 'cam1', rtmpUrl: `rtmp://localhost:${rtmpPort}/live` }), { status: 'PUBLISHING' });
  await transponder('ended', /do not include the destination localhost/);
  await page.stop('cam1');
  await page.page.close();
});

t.test('maxDuration ends the publication and its push within a second, and a replay is refused', async (t) => {
  const token = await sign({ maxDuration: 12, streams: ['timed'] });
  const page = await openPage();
  // The token of the stream counts; the connection has another one.
  await page.connect(gateway.wsUrl, { authToken: await sign({}) });
  const begun = Date.now();
  t.match(await page.publish({ name: 'timed', rtmpUrl, custom: { token } }), { status: 'PUBLISHING' });
  const streams = async (): Promise<{ transponders: number }[]> =>
    (await gateway.http('/api/v1/streams', asOperator)).body;
  await waitFor('its push', async () => (await streams())[0]?.transponders === 1);
  const end = await page.event('the end', ({ name, status }) => name === 'timed' && status === 'FAILED', 60_000);
  const seconds = (Date.now() - begun) / 1000;
  t.ok(seconds >= 11.5, `ended after ${seconds} s`);
  t.match(end.info, /right to publish has expired/);
  t.strictSame(await streams(), []);
  const push = await waitFor(
    'the end of its push',
    async () => (await gateway.http('/api/v1/transponders?ended=true', asOperator)).body[0],
  );
  t.equal(push.reasonCode, 'TOKEN_EXPIRED');
  t.match(await page.publish({ name: 'timed', custom: { token } }), { status: 'FAILED', info: /maxDuration/ });
  await page.page.close();
});

t.test('a token ends the publication when it expires', async (t) => {
  const page = await openPage();
  const exp = inSeconds(12);
  await page.connect(`${gateway.wsUrl}?token=${await sign({ exp })}`);
  t.match(await page.publish({ name: 'cam1' }), { status: 'PUBLISHING' });
  await page.event('the end', ({ name, status }) => name === 'cam1' && status === 'FAILED', 60_000);
  t.ok(Date.now() >= exp * 1000, 'not before it expires');
  t.match(await page.publish({ name: 'cam1' }), { status: 'FAILED', info: /token has expired/ });
  await waitFor('no secret in the log', () => !gateway.logs().includes('eyJ'));
  t.notMatch(gateway.logs(), SECRET);
  await page.page.close();
});

t.test('a player ends with its token, and goes on with a renewed one', async (t) => {
  const publisher = await openPage();
  await publisher.connect(gateway.wsUrl, { authToken: await sign({}) });
  t.match(await publisher.publish({ name: 'cam1' }), { status: 'PUBLISHING' });
  const exp = inSeconds(30);
  const open = async (sub: string): Promise<SdkPage> => {
    const viewer = await openPage();
    await viewer.connect(gateway.wsUrl, { authToken: await sign({ sub, exp, act: ['play'] }) });
    t.match(await viewer.play({ name: 'cam1' }), { status: 'PLAYING' });
    return viewer;
  };
  const [left, renewed] = await Promise.all([open('bob'), open('carol')]);
  const renew = async (claims: object) =>
    gateway.http('/api/v1/streams/cam1/token', {
      method: 'POST',
      headers: { authorization: `Bearer ${await sign(claims)}` },
    });
  t.match(await renew({ sub: 'mallory', act: ['play'] }), { status: 404 }, 'another identity');
  t.match(await renew({ sub: 'carol', act: ['publish'] }), { status: 403 }, 'without the action');
  const until = inSeconds(60);
  t.match(await renew({ sub: 'carol', act: ['play'], exp: until }), {
    status: 200,
    body: { stream: 'cam1', sessions: 1, expiresAt: new Date(until * 1000).toISOString() },
  });
  const end = await left.event('the end', ({ name, status }) => name === 'cam1' && status === 'FAILED', 60_000);
  t.ok(Date.now() >= exp * 1000, 'not before it expires');
  t.match(end.info, /right to play has expired/);
  const frames = async (): Promise<number> => (await renewed.playback())?.framesDecoded ?? 0;
  const before = await frames();
  await waitFor('further frames', async () => Date.now() > exp * 1000 + 1000 && (await frames()) > before);
  t.notOk((await renewed.events()).some(({ status }) => status === 'FAILED'));
  for (const page of [left, renewed, publisher]) await page.page.close();
});
