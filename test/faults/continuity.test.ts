import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { mainProcessOf, startChromium } from '../helpers/chromium.ts';
import { breaksOf, type ContinuityLimits } from '../helpers/continuity.ts';
import { startGateway } from '../helpers/gateway.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { randomFrom } from '../helpers/random.ts';
import { startRecordingServers } from '../helpers/recording-servers.ts';
import { analyse, recorded, recordedUntil } from '../helpers/recording.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { waitFor } from '../helpers/wait.ts';

/**
 * Publishers that are killed again and again at random moments: each push goes on over one connection, at three kinds
 * of servers.
 */

const LONG = process.env['LONG_TESTS'] === '1';
const KILLS = LONG ? 50 : 2;
const FPS = 30;
const FRAME_MS = Math.ceil(1000 / FPS);
const SIZES = { wide: '1280x720', tall: '720x1280' } as const;
type Name = keyof typeof SIZES;
/** From the first packet of a publisher to its first frame at the destination: ten times the usual value. */
const BACK_WITHIN_MS = 5000;
/** The state is looked up so often. */
const LOOK_MS = 20;
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

t.setTimeout(LONG ? 3_000_000 : 360_000);

const gateway = await startGateway({ publisher_resume_window_ms: 0 });
t.teardown(() => gateway.stop());
const random = randomFrom(SEED);
t.comment(`SEED=${SEED}`);

const streams = async (): Promise<string[]> =>
  (await gateway.http('/api/v1/streams')).body.map(({ name }: { name: string }) => name);

/** Pushes of streams to every server, in standby. */
async function startPushes(t: Test, names: readonly string[]) {
  const servers = await startRecordingServers(names.map((name) => `rtmp_${name}`));
  t.teardown(() => servers.stop());
  const pushes = await Promise.all(
    names.flatMap((name) =>
      servers.placesOf(`rtmp_${name}`).map(async (place) => {
        const { mediaSessionId } = await gateway.startPush({
          streamName: name,
          rtmpUrl: place.rtmpUrl,
          standby: { freezeMs: 1000, text: 'One moment', startWithStandby: true },
        });
        await gateway.reached(mediaSessionId, 'standby');
        return { ...place, name, mediaSessionId };
      }),
    ),
  );
  return {
    /** Waits until all pushes of the stream are live; how long that took. */
    async live(name: string): Promise<number> {
      const startedAt = performance.now();
      const waiting = pushes.filter((push) => push.name === name);
      await waitFor(
        `live video of ${name}`,
        async () => {
          const views = await Promise.all(waiting.map(({ mediaSessionId }) => gateway.transponder(mediaSessionId)));
          return views.every((view) => view!.status === 'pushing');
        },
        { every: LOOK_MS },
      );
      return performance.now() - startedAt;
    },
    /** Ends all pushes, and judges what has arrived. */
    async judge(limits: ContinuityLimits): Promise<void> {
      for (const { mediaSessionId, recording, server } of pushes) {
        t.match(await gateway.transponder(mediaSessionId), { status: 'standby', attempt: 0 });
        // ffmpeg writes its file with a delay.
        if (server !== 'ffmpeg') {
          const file = await recording();
          await recorded(file, (await recordedUntil(file)).video + 1000);
        }
        await gateway.rest('/push/terminate', { mediaSessionId });
      }
      for (const { server, name, recording, sessions, complete } of pushes) {
        await complete();
        t.equal(await sessions(), 1, `${server} ${name}: one RTMP session`);
        const arrived = await analyse(await recording(), { strict: true });
        const { count, last, largestGap } = arrived.video;
        t.comment(`${server} ${name}: ${count} frames in ${last} ms, largest gap ${largestGap} ms`);
        t.strictSame(breaksOf(arrived, limits), [], `${server} ${name}`);
      }
    },
  };
}

const report = (what: string, times: readonly number[]): string => `${what} ${times.map(Math.round).join(', ')} ms`;

await t.test(`an encoder with WHIP is killed ${KILLS} times, landscape and portrait`, async (t) => {
  const names = Object.keys(SIZES) as Name[];
  const media = new Map(
    await Promise.all(names.map(async (name) => [name, await createMedia(SIZES[name], FPS)] as const)),
  );
  t.teardown(() => Promise.all([...media.values()].map((each) => each.remove())));
  const pushes = await startPushes(t, names);
  const returns: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const publishers = await Promise.all(
      names.map(async (name) => {
        const { video, audio } = media.get(name)!;
        const publisher = await MediaPublisher.start({
          httpUrl: gateway.httpUrl,
          stream: name,
          fps: FPS,
          video,
          audio,
        });
        returns.push(await pushes.live(name));
        return publisher;
      }),
    );
    // The gateway notices a loss without a goodbye after 19 to 25 s.
    await Promise.all(
      publishers.map(async (publisher) => {
        await sleep(random() * 2000);
        await publisher.kill();
      }),
    );
    await waitFor('the losses to be noticed', async () => (await streams()).length === 0, { timeout: 60_000 });
    await sleep(random() * 1000);
  }
  await pushes.judge({ frameMs: FRAME_MS, jitterMs: 8, audioGapMs: 45 });
  t.ok(Math.max(...returns) < BACK_WITHIN_MS, report('live after', returns));
});

const chromium = { skip: LONG ? false : 'only with LONG_TESTS=1' };
await t.test(`Chromium is killed ${KILLS} times, landscape and portrait in turns`, chromium, async (t) => {
  const pages = await startPageServer();
  t.teardown(() => pages.close());
  const pushes = await startPushes(t, ['browser']);
  const returns: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const browser = await startChromium();
    const main = mainProcessOf(process.pid);
    const page = await SdkPage.open(browser, pages);
    const [width, height] = (kill % 2 === 0 ? SIZES.wide : SIZES.tall).split('x').map(Number);
    await page.publishTo(gateway.wsUrl, { name: 'browser', source: 'tone', sourceOptions: { width, height } });
    returns.push(await pushes.live('browser'));
    await sleep(random() * 2000);
    const gone = new Promise<void>((resolve) => browser.once('disconnected', () => resolve()));
    process.kill(main, 'SIGKILL');
    await gone;
    await waitFor('the loss to be noticed', async () => (await streams()).length === 0, { timeout: 60_000 });
    await sleep(random() * 1000);
  }
  // Chromium's own frames come irregularly while it starts.
  await pushes.judge({ frameMs: FRAME_MS, jitterMs: 130 });
  t.comment(report('live after', returns));
});
