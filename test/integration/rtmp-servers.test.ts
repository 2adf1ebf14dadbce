import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_AUDIO, TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import type { FlvTag } from '../../src/media/containers/flv-tag.ts';
import type { PusherFactory } from '../../src/outputs/push/pusher.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import { startFfmpegRtmpServer } from '../helpers/ffmpeg-rtmp-server.ts';
import { ffprobe, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { createFlvTags, writeTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import { pushEngines, refusal } from '../helpers/push-engines.ts';
import { pushTarget, ready } from '../helpers/push-target.ts';
import { waitFor } from '../helpers/wait.ts';

const tags = await createFlvTags();
/** Without sequence headers, because nginx-rtmp writes them more than once. That they arrive is shown by decoding frames. */
const isMedia = ({ type, sequenceHeader, data }: FlvTag): boolean =>
  !sequenceHeader && (type === TAG_AUDIO || (type === TAG_VIDEO && data.length > 5));
const media = tags.filter(isMedia);

/** The first recording in a folder. */
async function recordingIn(folder: string): Promise<string> {
  return waitFor('a recording', async () => {
    const name = (await readdir(folder, { recursive: true })).find((file) => file.endsWith('.flv'));
    return name && join(folder, name);
  });
}

async function mediaOf(file: string): Promise<FlvTag[]> {
  return new FlvReader().push(await readFile(file)).filter(isMedia);
}

/** Each tag as type, timestamp and bytes. Servers interleave audio and video differently, so each type has its own list. */
function listing(list: readonly FlvTag[], type: number): string[] {
  return list
    .filter((tag) => tag.type === type)
    .map(({ timestamp, data }) => `${timestamp} ${data.toString('base64')}`);
}

/** Number of tags that are sent one by one, until the server has taken some of them. */
const HELD_BACK = 30;

/**
 * Sends all tags, and closes after the server has taken some of them: closing earlier would abort the attempt. On a busy machine an ffmpeg starts so late that it
 * finds nearly all tags at once, and it reports only between two tags.
 */
async function push(create: PusherFactory, url: string): Promise<void> {
  const pusher = create(pushTarget(url));
  const taken = once(pusher, 'progress', { signal: AbortSignal.timeout(30_000) });
  await ready(pusher);
  await writeTags(pusher, tags.slice(0, -HELD_BACK), 2);
  for (const tag of tags.slice(-HELD_BACK)) {
    await Promise.race([taken, sleep(100)]);
    await writeTags(pusher, [tag]);
  }
  await taken;
  await pusher.close();
}

for (const engine of pushEngines) {
  const create = engine.createFactory();
  for (const [name, start] of [
    ['nginx-rtmp', startNginxRtmp],
    ['node-media-server', startNodeMediaServer],
  ] as const) {
    void t.test(`push_engine=${engine.name}: ${name} records what was sent, byte for byte`, async (t) => {
      const server = await start();
      t.teardown(() => server.stop());
      await push(create, `${server.rtmpUrl}/key-1?a=b%20c&d=`);
      const file = await recordingIn(server.recordDir);
      await waitFor('the whole recording', async () => (await mediaOf(file)).length === media.length);
      for (const type of [TAG_VIDEO, TAG_AUDIO]) t.same(listing(await mediaOf(file), type), listing(media, type));
      const { streams } = (await ffprobe([file], 'stream=codec_name,width')) as {
        streams: { codec_name: string; width?: number }[];
      };
      t.same(streams.filter(({ codec_name }) => codec_name === 'h264' || codec_name === 'aac').length, 2);
      t.equal((await frameHashes(['-i', file, '-map', '0:v'])).length, 60, 'all frames are decoded without an error');
    });
  }

  void t.test(`push_engine=${engine.name}: ffmpeg as a server`, async (t) => {
    const server = await startFfmpegRtmpServer();
    t.teardown(() => server.stop());
    await push(create, `${server.rtmpUrl}/stream`);
    await server.ended();
    const recorded = await mediaOf(server.recording);
    const bytes = (list: readonly FlvTag[], type: number): string[] =>
      list.filter((tag) => tag.type === type).map(({ data }) => data.toString('base64'));
    t.same(bytes(recorded, TAG_VIDEO), bytes(media, TAG_VIDEO));
    t.same(bytes(recorded, TAG_AUDIO), bytes(media, TAG_AUDIO));
  });

  void t.test(`push_engine=${engine.name}: over IPv6, to applications of several segments`, async (t) => {
    const seen: URLSearchParams[] = [];
    const server = await startNginxRtmp({
      record: false,
      ipv6: true,
      applications: ['live', 'app/instance'],
      onPublish: (parameters) => (seen.push(parameters), 200),
    });
    t.teardown(() => server.stop());
    t.equal(
      await refusal(create(pushTarget(`rtmp://[::1]:${server.port}/live/six`, { addresses: ['::1'] })), tags),
      undefined,
    );
    t.equal(
      await refusal(
        create(pushTarget(`rtmp://localhost:${server.port}/app/instance/four?k=v%2F`, { localAddress: '127.0.0.5' })),
        tags,
      ),
      undefined,
    );
    t.same(
      seen.map((parameters) => [parameters.get('name'), parameters.get('addr'), parameters.get('tcurl')]),
      [
        ['six', '::1', `rtmp://[::1]:${server.port}/live`],
        // ffmpeg cannot bind a local address.
        ['four', engine.name === 'rtmp' ? '127.0.0.5' : '127.0.0.1', `rtmp://localhost:${server.port}/app/instance`],
      ],
    );
  });
}

void t.test('nginx-rtmp accepts chunks of any size', async (t) => {
  const server = await startNginxRtmp();
  t.teardown(() => server.stop());
  for (const chunkSize of [128, 4096, 1_000_000]) {
    const pusher = createRtmpPusher({ chunkSize })(pushTarget(`${server.rtmpUrl}/chunks-${chunkSize}`));
    await ready(pusher);
    await writeTags(pusher, tags);
    await pusher.close();
    const file = join(server.recordDir, `chunks-${chunkSize}.flv`);
    await waitFor(`chunks of ${chunkSize}`, async () => (await mediaOf(file)).length === media.length);
    t.same(listing(await mediaOf(file), TAG_VIDEO), listing(media, TAG_VIDEO), `chunks of ${chunkSize} bytes`);
  }
});

void t.test('timestamps beyond three bytes arrive', async (t) => {
  const server = await startNginxRtmp();
  t.teardown(() => server.stop());
  const pusher = createRtmpPusher({ chunkSize: 128 })(pushTarget(`${server.rtmpUrl}/long`));
  await ready(pusher);
  // After four and a half hours timestamps exceed the 24 bits of a header; the stream crosses that limit.
  await writeTags(
    pusher,
    tags.map((tag) => (tag.sequenceHeader ? tag : { ...tag, timestamp: tag.timestamp + 0xffffff - 1000 })),
  );
  await pusher.close();
  const file = join(server.recordDir, 'long.flv');
  await waitFor('the whole recording', async () => (await mediaOf(file)).length === media.length);
  const span = (list: readonly FlvTag[]): number => {
    const times = list.filter(({ type }) => type === TAG_VIDEO).map(({ timestamp }) => timestamp);
    return times.at(-1)! - times[0]!;
  };
  t.equal(span(await mediaOf(file)), span(media));
  t.same(
    (await mediaOf(file)).map(({ data }) => data.length),
    media.map(({ data }) => data.length),
  );
});
