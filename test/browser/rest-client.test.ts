import t from 'tap';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';

t.setTimeout(FILE_TIMEOUT);

// A page of another origin than the gateway's; every URL names its stream.
const { gateway, nginx, publisher } = await setStage(t, {
  settings: { cors_origins: '*', rtmp_transponder_full_url: true },
});

await t.test('the official WCS REST client, unmodified', async (t) => {
  const page = await publisher({ name: 'show', source: 'tone', sourceOptions: { width: 320, height: 180 } });
  await page.page.evaluate("import('/websdk/flashphoner-rest-api.js').then(() => {})");
  const call = (method: string, ...args: unknown[]): Promise<unknown> =>
    page.page.evaluate(
      `FlashphonerRestApi.instance('${gateway.httpUrl}').push.${method}(${args.map((arg) => JSON.stringify(arg)).join()})`,
    );

  const rtmpUrl = `${nginx.rtmpUrl}/official`;
  const { mediaSessionId } = (await call('push', 'show', rtmpUrl)) as { mediaSessionId: string };
  await gateway.reached(mediaSessionId, 'pushing');
  t.match(
    await call('find', 'show', rtmpUrl),
    [{ mediaSessionId, streamName: 'official' }],
    'the client sends rtmpTransponderFullUrl: false by default',
  );
  await call('mute', mediaSessionId);
  // Its soundOff throws before it sends a request.
  await call('soundOn', mediaSessionId, 'sound.wav', true);
  t.match(await call('findAll'), [{ muted: true, soundEnabled: true }]);
  await call('unmute', mediaSessionId);
  t.match(await call('find'), [{ muted: false }]);
  await call('terminate', mediaSessionId);
  await t.rejects(call('findAll'), 'no push is left');
  await page.close();
});
