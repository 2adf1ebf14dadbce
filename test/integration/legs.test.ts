import { EventEmitter } from 'node:events';
import { rm } from 'node:fs/promises';
import t from 'tap';
import type { Test } from 'tap';
import { GatewayError } from '../../src/errors.ts';
import { TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import { parseDestination } from '../../src/net/destination.ts';
import { DestinationPolicy } from '../../src/net/destination-policy.ts';
import { createLogger } from '../../src/observe/logger.ts';
import { LateGroups } from '../../src/outputs/late-groups.ts';
import { Transponder } from '../../src/outputs/push/transponder.ts';
import type { StartRequest } from '../../src/outputs/push/transponder-control.ts';
import type { Rendition, RenditionEvents } from '../../src/renditions/rendition.ts';
import { LiveStream } from '../../src/streams/live-stream.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { createFlvTags } from '../helpers/flv-source.ts';
import { startNginxRtmp, type NginxRtmp } from '../helpers/nginx-rtmp.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import { pushEngines } from '../helpers/push-engines.ts';
import { analyse, findRecording, recorded, recordingOf } from '../helpers/recording.ts';
import { startScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../helpers/wait.ts';
import { readFile } from 'node:fs/promises';

const tags = await createFlvTags();
const stopped = new GatewayError('TERMINATED', 'stopped');

/** A stream of test tags, in real time. */
function liveRendition(t: Test): Rendition & { metadata: object } {
  const headers = tags.filter(({ sequenceHeader }) => sequenceHeader);
  const media = tags.filter(({ type, sequenceHeader }) => type !== TAG_SCRIPT && !sequenceHeader);
  const lengthMs = media.at(-1)!.timestamp + 33;
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: { width: 320, height: 240 },
    videoHeader: headers.find(({ type }) => type === TAG_VIDEO),
    audioHeader: headers.find(({ type }) => type !== TAG_VIDEO),
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => undefined,
  });
  const startMs = performance.now();
  let next = 0;
  const timer = setInterval(() => {
    const due: FlvTag[] = [];
    for (; ; next++) {
      const tag = media[next % media.length]!;
      const timestamp = 5000 + tag.timestamp + Math.floor(next / media.length) * lengthMs;
      if (timestamp - 5000 > performance.now() - startMs) break;
      due.push({ ...tag, timestamp });
    }
    if (due.length > 0) rendition.emit('tags', new TagGroup(due));
  }, 10);
  t.teardown(() => clearInterval(timer));
  return rendition as Rendition & { metadata: object };
}

async function setUp(t: Test, engine: (typeof pushEngines)[number] = pushEngines[0]!) {
  const rendition = liveRendition(t);
  const lines: string[] = [];
  const policy = new DestinationPolicy({
    destination_allow_networks: ['127.0.0.0/8'],
    destination_allow_hosts: [],
    destination_deny_hosts: [],
  });
  const start = (primary: string, more: Partial<StartRequest> = {}): Transponder => {
    const parse = (url: string) => parseDestination(url, 'show', { streamNamePrefix: '', fullUrl: false });
    const request = { streamName: 'show', rtmpUrl: primary, ...more };
    const transponder = Transponder.start(
      {
        request,
        stream: new LiveStream('show', undefined),
        destination: parse(primary),
        addresses: ['127.0.0.1'],
        ...(more.backupUrl && { backup: { destination: parse(more.backupUrl), addresses: ['127.0.0.1'] } }),
        lease: { rendition, release: async () => undefined },
      },
      {
        createPusher: engine.createFactory(),
        resolve: (destination) => policy.resolve(destination),
        retry: { enabled: false, attempts: 3, intervalMs: 300, capMs: 0 },
        outBuffer: { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
        pollingMs: 50,
        lateGroups: new LateGroups({ overloaded: false }),
        sendMetadata: true,
        silence: Buffer.alloc(5),
        flashVersion: 'FMLE/3.0',
        stallTimeoutMs: 3000,
        steadyAfterMs: 2000,
        logger: createLogger(
          { log_level: 'info', log_format: 'json' },
          { destination: { write: (line) => void lines.push(line) } },
        ),
        onInvalidTransition: (status, event) => t.fail(`${status} ${event}`),
      },
    );
    t.teardown(() => transponder.stop(stopped));
    return transponder;
  };
  return { rendition, start, lines };
}

const legsOf = (transponder: Transponder): string =>
  transponder
    .view()
    .legs.map(({ status }) => status)
    .join(' ');
const reached = (transponder: Transponder, legs: string): Promise<unknown> =>
  waitFor(`legs to be ${legs}`, () => {
    if (legsOf(transponder) === legs) return true;
    throw new Error(legsOf(transponder));
  });

async function twoServers(t: Test): Promise<[NginxRtmp, NginxRtmp]> {
  const servers = await Promise.all([startNginxRtmp(), startNginxRtmp()]);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  return servers as [NginxRtmp, NginxRtmp];
}

/** What the server has recorded can be decoded and begins with a key frame. */
async function isSound(t: Test, server: NginxRtmp): Promise<void> {
  const file = recordingOf(server, 'show');
  await recorded(file, 1000);
  const recording = await analyse(file);
  t.ok(recording.startsWithKeyFrame);
  t.strictSame(recording.decodeErrors, []);
  t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
}

for (const engine of pushEngines)
  void t.test(`push_engine=${engine.name}: hot, one server is killed, then the other`, async (t) => {
    const [a, b] = await twoServers(t);
    const { start } = await setUp(t, engine);
    const transponder = start(a.rtmpUrl, { backupUrl: b.rtmpUrl });
    const statuses = new Set<string>();
    await reached(transponder, 'pushing pushing');
    transponder.on('change', () => statuses.add(transponder.status));
    await Promise.all([isSound(t, a), isSound(t, b)]);
    for (const [server, legs] of [
      [a, /^(?:retrying|connecting) pushing$/],
      [b, /^pushing (?:retrying|connecting)$/],
    ] as const) {
      await server.kill();
      await waitFor('the loss', () => legs.test(legsOf(transponder)));
      t.equal(transponder.status, 'pushing');
      await rm(recordingOf(server, 'show'), { force: true });
      await server.restart();
      await reached(transponder, 'pushing pushing');
      await isSound(t, server);
    }
    t.strictSame([...statuses], ['pushing'], 'it never stopped');
    await transponder.stop(stopped);
    t.equal(legsOf(transponder), 'ended ended');
  });

void t.test('cold: the backup is connected while the primary is lost, and no longer', async (t) => {
  const [a, b] = await twoServers(t);
  const { start } = await setUp(t);
  const transponder = start(a.rtmpUrl, {
    backupUrl: b.rtmpUrl,
    backupMode: 'cold',
    backupAfterMs: 300,
    restoreAttempts: 99,
  });
  await reached(transponder, 'pushing idle');
  await a.kill();
  await waitFor('the backup', () => /pushing$/.test(legsOf(transponder)));
  t.equal(transponder.status, 'pushing');
  await isSound(t, b);
  await a.restart();
  await reached(transponder, 'pushing pushing');
  await reached(transponder, 'pushing idle');
  await rm(recordingOf(b, 'show'));
  await a.kill();
  await waitFor('the backup again', () => /pushing$/.test(legsOf(transponder)));
  await isSound(t, b);
});

void t.test('both servers gone: the push ends when both are out of attempts', async (t) => {
  const [a, b] = await twoServers(t);
  const { start } = await setUp(t);
  const transponder = start(a.rtmpUrl, { backupUrl: b.rtmpUrl, restoreAttempts: 2 });
  await reached(transponder, 'pushing pushing');
  await Promise.all([a.kill(), b.kill()]);
  await reached(transponder, 'ended ended');
  t.match(transponder.view(), { status: 'ended', reasonCode: /^DESTINATION_/ });
});

void t.test('a server sends its publisher to a real server, without a gap', async (t) => {
  const [target] = await twoServers(t);
  const origin = await startScriptedServer();
  t.teardown(() => origin.stop());
  const { start, lines } = await setUp(t);
  const transponder = start(origin.rtmpUrl);
  await reached(transponder, 'pushing');
  const [peer] = origin.peers;
  const ask = (tcUrl: string): void =>
    peer!.command('onStatus', 0, null, {
      level: 'status',
      code: 'NetConnection.Connect.ReconnectRequest',
      description: 'bye',
      tcUrl,
    });
  ask('rtmp://10.1.2.3/live');
  await waitFor('a warning', () => lines.some((line) => line.includes('DESTINATION_FORBIDDEN')));
  t.equal(peer!.socket.destroyed, false, 'the connection stays');
  ask(target.rtmpUrl);
  await waitFor('the move', () => transponder.view().legs[0]!.destination === target.rtmpUrl);
  t.match(transponder.view(), { status: 'pushing', attempt: 0 });
  await waitFor('the end of the old connection', () => peer!.commands.some(({ name }) => name === 'deleteStream'));
  await isSound(t, target);
  const frames = (list: readonly { type: number; payload: Buffer }[]): string[] =>
    list
      .filter(({ type, payload }) => type === TAG_VIDEO && payload[1] === 1)
      .map(({ payload }) => payload.toString('hex'));
  const last = frames(peer!.messages).at(-1)!;
  const moved = new FlvReader()
    .push(await readFile(recordingOf(target, 'show')))
    .filter(({ type }) => type === TAG_VIDEO)
    .map(({ data }) => data.toString('hex'));
  t.ok(moved.includes(last), 'the last frame of the old connection is on the new one as well');
});

for (const [name, startServer] of [
  ['nginx-rtmp', startNginxRtmp],
  ['node-media-server', startNodeMediaServer],
] as const)
  void t.test(`${name} accepts metadata again in the middle of a stream`, async (t) => {
    const server = await startServer();
    t.teardown(() => server.stop());
    const { rendition, start } = await setUp(t);
    const transponder = start(server.rtmpUrl);
    await reached(transponder, 'pushing');
    const before = transponder.counters.bytesSent;
    rendition.metadata = { width: 642, height: 482 };
    rendition.emit('format');
    await waitFor('more media', () => transponder.counters.bytesSent > before + 100_000);
    t.match(transponder.view(), { status: 'pushing', reason: '' });
    // It shows what the metadata says.
    const { statsUrl } = server as Partial<NginxRtmp>;
    if (statsUrl) await waitFor('the new size', async () => /<width>642</.test(await (await fetch(statsUrl)).text()));
    const file = await findRecording(server, 'show');
    await transponder.stop(stopped);
    t.strictSame((await analyse(file)).decodeErrors, []);
  });
