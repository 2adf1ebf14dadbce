import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { silentLogger } from '../../src/observe/logger.ts';
import { createFfmpegPusher } from '../../src/outputs/push/ffmpeg-pusher.ts';
import type { Amf0Object, Amf0Value } from '../../src/media/amf0.ts';
import { parseDestination } from '../../src/net/destination.ts';
import { ffmpegMustNotPush } from '../helpers/ffmpeg-pushes.ts';
import { createFlvTags, playTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { pushing, refusal } from '../helpers/push-engines.ts';
import { pushTarget, ready } from '../helpers/push-target.ts';
import { startScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../helpers/wait.ts';

// What is specific to one ffmpeg per destination: when it connects, what it reports, and when it ends.
const logger = silentLogger;
const create = createFfmpegPusher({ logger });
const tags = await createFlvTags({ seconds: 1 });
/** Milliseconds; shorter than the delays below. */
const STALL = 500;
const LONGER = 800;

t.test(
  'a stream that begins late or pauses does not count against the server',
  { skip: ffmpegMustNotPush },
  async (t) => {
    const server = await startNginxRtmp({ record: false });
    t.teardown(() => server.stop());
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: STALL }));
    pusher.on('died', (error) => t.fail(error.message));
    let taken = 0;
    pusher.on('progress', (bytes) => (taken = bytes));
    await ready(pusher);
    for (let i = 0; i < 2; i++) {
      await sleep(LONGER);
      const before = taken;
      const player = playTags(pusher, tags);
      await waitFor('media to be taken', () => taken > before);
      player.stop();
    }
    await pusher.close();
  },
);

t.test('a server may take longer to accept than it may stall', { skip: ffmpegMustNotPush }, async (t) => {
  const server = await startScriptedServer({
    answers: {
      publish: (peer) => void setTimeout(() => peer.status('status', 'NetStream.Publish.Start', 'Started'), LONGER),
    },
  });
  t.teardown(() => server.stop());
  t.equal(await refusal(create(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: STALL })), tags), undefined);
});

t.test('a server that never answers', { skip: ffmpegMustNotPush }, async (t) => {
  const server = await startScriptedServer({ raw: () => {} });
  t.teardown(() => server.stop());
  for (const connectTimeouts of [
    { step: 500, whole: 60_000 },
    { step: 60_000, whole: 500 },
  ])
    for (const scheme of ['rtmp', 'rtmps']) {
      const pusher = createFfmpegPusher({ connectTimeouts, logger })(
        pushTarget(`${scheme}://127.0.0.1:${server.port}/live/name`, { stallTimeoutMs: STALL }),
      );
      t.match(await refusal(pusher, tags), { code: 'DESTINATION_TIMEOUT', retryable: true }, scheme);
    }
});

t.test('the reason does not contain secrets that the server repeats', { skip: ffmpegMustNotPush }, async (t) => {
  const server = await startScriptedServer({
    answers: { publish: (peer) => peer.status('error', 'NetStream.Publish.BadName', 'No such key: k3yB4Z?t=t0kenX7') },
  });
  t.teardown(() => server.stop());
  const lines: string[] = [];
  const listening = {
    ...logger,
    debug: (...words: unknown[]) => void lines.push(JSON.stringify(words)),
  } as unknown as typeof logger;
  const error = await refusal(
    createFfmpegPusher({ logger: listening })(pushTarget(`${server.rtmpUrl}/k3yB4Z?t=t0kenX7`)),
    tags,
  );
  t.match(error, { code: 'DESTINATION_REFUSED', message: /No such key: \*\*\*/ });
  t.match(lines.join('\n'), /No such key/, 'the log of ffmpeg is in ours');
  t.notMatch(lines.join('\n'), /k3yB4Z|t0kenX7/);
});

t.test('the root application, and the longest keys that ffmpeg accepts', { skip: ffmpegMustNotPush }, async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const lines: string[] = [];
  const listening = {
    ...logger,
    debug: (...words: unknown[]) => void lines.push(JSON.stringify(words)),
  } as unknown as typeof logger;
  const push = (app: string, streamName: string): ReturnType<typeof refusal> => {
    const { addresses, flashVersion, stallTimeoutMs } = pushTarget(`${server.rtmpUrl}/name`);
    const destination = parseDestination(`rtmp://127.0.0.1:${server.port}/${app}`, streamName, {
      streamNamePrefix: '',
      fullUrl: false,
    });
    return refusal(
      createFfmpegPusher({ logger: listening })({ destination, addresses, flashVersion, stallTimeoutMs }),
      tags,
    );
  };
  const long = `KEY${'x'.repeat(980 - 'rtmp_playpath='.length)}`;
  t.equal(await push('', 'show'), undefined);
  t.equal(await push('live', long), undefined);
  const told = (name: string): Amf0Value[][] =>
    server.peers.map(({ commands }) => commands.find((command) => command.name === name)!.values);
  t.strictSame(
    told('connect').map(([parameters]) => (parameters as Amf0Object)['app']),
    ['', 'live'],
  );
  t.strictSame(
    told('publish').map(([, name]) => name),
    ['show', long],
  );

  for (const [app, streamName] of [
    ['live', `${long}xxxxTAIL`],
    [`live/?token=${long}TAIL`, 'show'],
  ] as const) {
    const error = await push(app, streamName);
    t.match(error, { code: 'INVALID_RTMP_URL', retryable: false, message: /push_engine=rtmp/ });
    t.notMatch(`${error?.message}${lines.join()}`, /KEY|TAIL/);
  }
  t.equal(server.peers.length, 2, 'and no further connection is made');
});

t.test('metadata, unless rtmp_transponder_send_metadata=false', { skip: ffmpegMustNotPush }, async (t) => {
  for (const sendMetadata of [true, false]) {
    const server = await startScriptedServer();
    t.teardown(() => server.stop());
    t.equal(
      await refusal(createFfmpegPusher({ sendMetadata, logger })(pushTarget(`${server.rtmpUrl}/name`)), tags),
      undefined,
    );
    const told = server.peers[0]!.messages.filter(({ payload }) => payload.includes('onMetaData'));
    t.equal(told.length, sendMetadata ? 1 : 0);
  }
});

t.test('after the end no event, timer or file remains', { skip: ffmpegMustNotPush }, async (t) => {
  const server = await startNginxRtmp({ record: false });
  t.teardown(() => server.stop());
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const folder = mkdtempSync(join(tmpdir(), 'files-'));
  const { TMPDIR = '/tmp' } = process.env;
  process.env.TMPDIR = folder;
  t.teardown(() => {
    process.env.TMPDIR = TMPDIR;
    rmSync(folder, { recursive: true });
  });
  const early = create(pushTarget(`${server.rtmpUrl}/name`));
  early.on('ready', () => t.fail('ready after close'));
  await early.close();
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  const player = await pushing(pusher, tags);
  player.stop();
  const closed = pusher.close();
  for (const event of ['progress', 'died', 'drain'] as const) pusher.on(event, () => t.fail(event));
  await closed;
  t.equal(timers(), before);
  t.strictSame(readdirSync(folder), [], 'nor is there a file with its key');
});
