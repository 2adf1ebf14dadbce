import t, { type Test } from 'tap';
import type { SdkPage } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const { gateway, nginx, openPage, publisher } = await setStage(t, { nginx: { applications: ['live'] } });

async function viewer(t: Test, name: string): Promise<SdkPage> {
  const page = await openPage();
  await page.connect(gateway.wsUrl);
  t.match(await page.play({ name }), { status: 'PLAYING' });
  return page;
}

/** Waits until this is the last frame size that the SDK has reported. */
async function isTold(t: Test, page: SdkPage, width: number, height: number): Promise<void> {
  const reported = await waitFor(`the player to report ${width}x${height}`, async () => {
    const { resolution } = (await page.events()).findLast(({ status }) => status === 'RESIZE') ?? {};
    return resolution?.width === width ? resolution : undefined;
  });
  t.strictSame(reported, { width, height });
}

const unread = (): Promise<boolean> =>
  waitFor('the stream not to be read any more', () => gateway.children().every(({ role }) => role === 'media-worker'));

await t.test('players learn the frame size and its changes', async (t) => {
  const page = await publisher({ name: 'sized', source: 'flashAndBeep', sourceOptions: { width: 640, height: 360 } });
  const first = await viewer(t, 'sized');
  await isTold(t, first, 640, 360);
  const statuses = (await first.events()).map(({ status }) => status);
  t.ok(statuses.indexOf('PLAYING') < statuses.indexOf('RESIZE'), 'after PLAYING, when the page has its video element');
  await unread();

  const { mediaSessionId } = await gateway.startPush({ streamName: 'sized', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  await page.resize(320, 240);
  await isTold(t, first, 320, 240);
  t.equal((await gateway.rest('/push/terminate', { mediaSessionId })).status, 200);
  await unread();

  await page.resize(480, 360);
  const second = await viewer(t, 'sized');
  await Promise.all([isTold(t, second, 480, 360), isTold(t, first, 480, 360)]);
  t.match(await first.stop('sized'), { status: 'STOPPED' });
  await Promise.all([first.close(), second.close(), page.close()]);
});

await t.test('a player without video gets no frame size', async (t) => {
  const listener = async (options: Parameters<SdkPage['play']>[0]): Promise<string[]> => {
    const page = await openPage();
    await page.connect(gateway.wsUrl);
    t.match(await page.play(options), { status: 'PLAYING' });
    t.match(await page.stop(options.name), { status: 'STOPPED' });
    const reported = (await page.events()).flatMap(({ status }) => status ?? []);
    await page.close();
    return reported;
  };
  const page = await publisher({ name: 'heard', source: 'flashAndBeep', sourceOptions: { width: 640, height: 360 } });
  const { mediaSessionId } = await gateway.startPush({ streamName: 'heard', rtmpUrl: nginx.rtmpUrl });
  await gateway.reached(mediaSessionId, 'pushing');
  t.ok((await listener({ name: 'heard' })).includes('RESIZE'));
  t.notOk(
    (await listener({ name: 'heard', constraints: { audio: true, video: false } })).includes('RESIZE'),
    'a player of audio only',
  );
  await page.close();

  const back = await publisher({ name: 'heard', source: 'flashAndBeep', sourceOptions: { width: 640, height: 360 } });
  const player = await viewer(t, 'heard');
  await isTold(t, player, 640, 360);
  t.equal(
    (await gateway.transponder(mediaSessionId))!.status,
    'pushing',
    'the same frame size is reported again after a return',
  );
  await Promise.all([player.close(), back.close()]);

  const mute = await publisher({ name: 'heard', source: 'audioOnly' });
  t.notOk((await listener({ name: 'heard' })).includes('RESIZE'), 'a publisher that came back without a camera');
  await mute.close();
});

await t.test('the frame size of VP8', async (t) => {
  const page = await publisher({
    name: 'vp8',
    stripCodecs: 'H264',
    source: 'videoOnly',
    sourceOptions: { width: 320, height: 180 },
  });
  const player = await viewer(t, 'vp8');
  await isTold(t, player, 320, 180);
  await unread();
  await Promise.all([player.close(), page.close()]);
});
