import t from 'tap';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { freePort } from '../helpers/server-process.ts';

t.setTimeout(FILE_TIMEOUT);

// All secret parts of an rtmpUrl, with unique values.
const SECRETS = { user: 'u5erW9', password: 'pa55wQ2', token: 't0kenX7', key: 'k3yB4Z' };
const found = (text: string): string[] =>
  Object.entries(SECRETS)
    .filter(([, value]) => text.includes(value))
    .map(([name]) => name);

const { gateway, nginx, publisher } = await setStage(t, {
  settings: { log_level: 'trace' },
  nginx: { onPublish: (parameters) => (parameters.get('name')?.includes('refuse') ? 404 : 200) },
});
const secretUrl = (port: number): string =>
  `rtmp://${SECRETS.user}:${SECRETS.password}@127.0.0.1:${port}/live?token=${SECRETS.token}`;
const keyUrl = (port: number): string => `rtmp://127.0.0.1:${port}/live/${SECRETS.key}?token=${SECRETS.token}`;

const page = await publisher({ name: 'private', rtmpUrl: secretUrl(nginx.port) });
await page.event('a transponder event', ({ event }) => event?.type === 'transponder');
const byKey = await gateway.startPush({
  streamName: 'private',
  rtmpUrl: keyUrl(nginx.port),
  rtmpTransponderFullUrl: true,
});
await gateway.reached(byKey.mediaSessionId, 'pushing');

await t.test('reasons of failed pushes contain no secrets', async (t) => {
  const closed = await freePort();
  for (const url of [secretUrl(closed), keyUrl(closed), secretUrl(nginx.port).replace('/live', '/nowhere')]) {
    const { mediaSessionId } = await gateway.startPush({
      streamName: 'private',
      rtmpUrl: url,
      rtmpTransponderFullUrl: url.includes(SECRETS.key),
    });
    const ended = await gateway.ended(mediaSessionId);
    t.strictSame(found(ended.reason + ended.destination), [], ended.reason);
  }
});

await t.test('error answers contain no secrets', async (t) => {
  const requests = [
    {
      rtmpUrl: `rtmp://${SECRETS.user}:${SECRETS.password}@no-such-host.invalid/live/${SECRETS.key}?token=${SECRETS.token}`,
    },
    { rtmpUrl: `rtmp://${SECRETS.user}:${SECRETS.password}@10.0.0.1/live/${SECRETS.key}?token=${SECRETS.token}` },
    { rtmpUrl: `http://${SECRETS.user}:${SECRETS.password}@127.0.0.1/live/${SECRETS.key}` },
    { rtmpUrl: `rtmp://${SECRETS.user}:${SECRETS.password}@:1/${SECRETS.key} ?token=${SECRETS.token}` },
    { rtmpUrl: `rtmp://%zz${SECRETS.user}:${SECRETS.password}@127.0.0.1/live/${SECRETS.key}` },
    { rtmpUrl: [keyUrl(nginx.port)] },
    { rtmpUrl: keyUrl(nginx.port), height: 'tall' },
    { rtmpUrl: keyUrl(nginx.port), rtmpTransponderFullUrl: true },
  ];
  for (const request of requests) {
    const answer = await gateway.rest('/push/startup', { streamName: 'private', ...request });
    t.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.body?.exception}`);
    t.strictSame(found(answer.text), []);
  }
});

await t.test('process arguments, metrics, events and logs contain no secrets', async (t) => {
  for (const { role, args } of gateway.children()) t.strictSame(found(args.join(' ')), [], `arguments of a ${role}`);
  t.strictSame(found((await gateway.http('/metrics')).text), [], 'metrics');
  t.strictSame(found((await gateway.http('/health')).text), [], 'health');
  t.strictSame(
    found(JSON.stringify((await page.events()).filter(({ what }) => what === 'event'))),
    [],
    'events in the page',
  );
  await page.stop('private');
  await gateway.ended(byKey.mediaSessionId);
  t.ok(gateway.logs().length > 1000, 'there is a log');
  for (const line of gateway.logs().split('\n')) if (found(line).length > 0) t.fail(`log: ${line}`);
});
