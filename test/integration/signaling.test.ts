import t from 'tap';
import type { LiveStream, SenderReport, TrackSubscription } from '../../src/streams/live-stream.ts';
import type { StartRequest, TransponderControl } from '../../src/outputs/push/transponder-control.ts';
import { GatewayError } from '../../src/errors.ts';
import { ClientSessions } from '../../src/sessions/client-sessions.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { startChromium } from '../helpers/chromium.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { waitFor } from '../helpers/wait.ts';
import type { TransponderView } from '../../src/views/push-view.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');
const { openWcsServer } = await import('../../src/signaling/wcs-server.ts');
const { createPublishing, openAuthorizer } = await import('../helpers/publishing.ts');

/** Replaces the transponders: records the calls, and answers as the test sets it up. */
class FakeControl implements TransponderControl {
  readonly started: StartRequest[] = [];
  readonly refused: { request: StartRequest; reason: GatewayError }[] = [];
  readonly #listeners = new Set<(view: TransponderView) => void>();
  refuseWith: GatewayError | undefined;

  async start(request: StartRequest): Promise<TransponderView> {
    if (this.refuseWith) throw this.refuseWith;
    this.started.push(request);
    const view = {
      mediaSessionId: 'transponder-1',
      sourceStreamName: request.streamName,
      rtmpUrl: request.rtmpUrl,
      destination: 'rtmp://127.0.0.1/live',
      status: 'connecting',
      reason: '',
    } as TransponderView;
    this.change(view);
    return view;
  }
  check(): never {
    throw new Error('not used');
  }
  change(view: TransponderView): void {
    for (const listener of this.#listeners) listener(view);
  }
  onChange(listener: (view: TransponderView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  get listeners(): number {
    return this.#listeners.size;
  }
  find(): TransponderView[] {
    return [];
  }
  ended(): TransponderView[] {
    return [];
  }
  refuse(request: StartRequest, reason: GatewayError): void {
    this.refused.push({ request, reason });
  }
  async terminate(): Promise<void> {}
  mute(): void {}
  unmute(): void {}
  async soundOn(): Promise<void> {}
  soundOff(): void {}
  async standby(): Promise<void> {}
}

t.setTimeout(180_000);

const control = new FakeControl();
const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: 10 });
const [pool, browser, pages] = await Promise.all([
  WorkerPool.create({
    workers: 1,
    rtcPort: 0,
    addresses: () => [{ ip: '127.0.0.1' }],
    logger: silentLogger,
  }),
  startChromium(),
  startPageServer(),
]);
const server = await openWcsServer({
  host: '127.0.0.1',
  port: 0,
  ...createPublishing({ pool, registry, pushes: control }),
  sessions: new ClientSessions(),
  authorizer: openAuthorizer,
  registry,
  logger: silentLogger,
  version: 'test',
  takeSnapshot: async (stream: LiveStream) => Buffer.from(`frame of ${stream.name}`),
});
t.teardown(async () => {
  await browser.close();
  await pages.close();
  registry.close(new GatewayError('SHUTTING_DOWN', 'test over'));
  await server.close();
  await pool.close();
});
const url = `ws://127.0.0.1:${server.port}/`;

async function publisher(name: string, options = {}): Promise<SdkPage> {
  const page = await SdkPage.open(browser, pages);
  await page.publishTo(url, { name, ...options });
  return page;
}

interface Received {
  readonly packets: Buffer[];
  readonly reports: SenderReport[];
}
function receive(subscription: TrackSubscription): Received {
  const received: Received = { packets: [], reports: [] };
  subscription.on('rtp', (packet) => received.packets.push(packet));
  subscription.on('senderReport', (report) => received.reports.push(report));
  return received;
}

/** mediasoup leaves its own header extensions in every packet that it hands over (RFC 8285). */
function payloadOffset(packet: Buffer): number {
  const fixed = 12 + 4 * (packet[0]! & 0x0f);
  return (packet[0]! & 0x10) === 0 ? fixed : fixed + 4 + 4 * packet.readUInt16BE(fixed + 2);
}

t.test('publish with rtmpUrl, receive its packets, play it, stop it', async (t) => {
  const began = performance.now();
  const page = await publisher('one', {
    rtmpUrl: 'rtmp://127.0.0.1/live',
    constraints: { audio: true, video: { width: 640, height: 480, maxBitrate: 1000 } },
  });
  t.comment(`connected and published in ${Math.round(performance.now() - began)} ms`);
  t.match(control.started, [{ streamName: 'one', rtmpUrl: 'rtmp://127.0.0.1/live' }]);
  await page.event(
    'the transponder',
    (event) =>
      event.what === 'event' && event.event.type === 'transponder' && event.event.payload.status === 'connecting',
  );

  const stream = registry.find('one');
  const { audio, video } = stream!.publisher!;
  t.equal(audio?.codec, 'opus');
  t.equal(video?.codec, 'h264');

  const [audioPackets, videoPackets] = await Promise.all([audio!.subscribe(), video!.subscribe()]);
  const [heard, seen] = [receive(audioPackets), receive(videoPackets)];
  videoPackets.requestKeyFrame();
  await waitFor('packets', () => heard.packets.length > 50 && seen.packets.length > 30);
  const payloadType = seen.packets[0]![1]! & 0x7f;
  t.ok(
    seen.packets.every((packet) => (packet[1]! & 0x7f) === payloadType),
    'one payload type: no RTX',
  );
  const nalTypes = new Set(seen.packets.map((packet) => packet[payloadOffset(packet)]! & 0x1f));
  t.ok(nalTypes.has(24) || nalTypes.has(7), 'parameter sets of the requested key frame');
  await waitFor('sender reports', () => heard.reports.length > 0 && seen.reports.length > 0);
  // Chromium's NTP clock is the system's; 2208988800 s lie between 1900 and 1970 (RFC 868).
  t.ok(Math.abs(seen.reports[0]!.ntpMs - (Date.now() + 2_208_988_800_000)) < 60_000, 'NTP time since 1900');
  await waitFor('round-trip time', () => videoPackets.roundTripMs > 0);

  const player = await SdkPage.open(browser, pages);
  await player.connect(url);
  t.same(await player.available('one'), { available: true });
  t.same(await player.available('nowhere'), { available: false, info: 'Stream not found' });
  t.match(await player.play({ name: 'nowhere' }), { status: 'FAILED', info: 'Stream not found' });
  const playing = performance.now();
  t.match(await player.play({ name: 'one' }), { status: 'PLAYING' });
  const playback = await waitFor('video and audio at the player', async () => {
    const shown = await player.playback();
    return shown && shown.framesDecoded > 20 && shown.audioEnergy > 0 ? shown : undefined;
  });
  t.comment(`20 frames played ${Math.round(performance.now() - playing)} ms after play()`);
  t.match(playback, { width: 640, height: 480 });

  const second = await SdkPage.open(browser, pages);
  await second.connect(url);
  t.match(await second.publish({ name: 'one' }), { status: 'FAILED', info: 'Stream name is already in use' });

  await page.muteAudio('one');
  await player.event('the publisher muting', (event) => event.what === 'event' && event.event.type === 'audioMuted');

  const frame64 = await player.page.evaluate(`new Promise((resolve) => {
    const stream = testPage.session.createStream({ name: 'one', display: document.getElementById('remote') });
    stream.on('SNAPSHOT_COMPLETE', () => resolve(stream.getInfo()));
    stream.snapshot();
  })`);
  t.equal(Buffer.from(String(frame64), 'base64').toString(), 'frame of one');
  t.match(
    await page.page.evaluate(`testPage.session.sendData({ hello: 1 }).then(() => 'accepted', ({ info }) => info)`),
    /not available/,
  );

  const ends: string[] = [];
  audioPackets.on('ended', () => ends.push('audio'));
  videoPackets.on('ended', () => ends.push('video'));
  let reason: GatewayError | undefined;
  stream!.on('ended', (why) => (reason = why));
  t.match(await page.stop('one'), { status: 'UNPUBLISHED', info: 'Stopped by user' });
  t.equal(reason?.code, 'STREAM_STOPPED');
  t.same(ends.sort(), ['audio', 'video']);
  await player.event(
    'the end at the player',
    (event) => event.name === 'one' && event.status === 'STOPPED' && event.info === 'Stopped by publisher stop',
  );
  t.equal(registry.find('one'), undefined);
  t.equal(control.listeners, 0);
  await Promise.all([page.close(), player.close(), second.close()]);
});

t.test('a refused push does not end the publication and shows no secret', async (t) => {
  control.refuseWith = new GatewayError('DESTINATION_FORBIDDEN', 'not there');
  const page = await publisher('two', { rtmpUrl: 'rtmp://user:secret@127.0.0.1/live/key?token=x' });
  const { event } = await page.event(
    'the refusal',
    (event) => event.what === 'event' && event.event.type === 'transponder',
  );
  control.refuseWith = undefined;
  t.same(event.payload, {
    mediaSessionId: '',
    rtmpUrl: 'rtmp://127.0.0.1/live/***',
    status: 'ended',
    reason: 'not there',
  });
  t.match(
    control.refused,
    [{ request: { streamName: 'two' }, reason: { code: 'DESTINATION_FORBIDDEN' } }],
    'recorded in the history',
  );
  t.ok(registry.find('two')?.publisher);
  await page.close();
});

t.test('a closed tab holds the stream, and the name published again continues it', async (t) => {
  const page = await publisher('three');
  const stream = registry.find('three')!;
  const events: string[] = [];
  stream.on('lost', () => events.push('lost'));
  stream.on('published', () => events.push('published'));
  await page.close();
  await waitFor('the loss', () => events.includes('lost'));
  t.equal(stream.publisher, undefined);
  const back = await publisher('three');
  t.equal(registry.find('three'), stream, 'the same stream');
  t.same(events, ['lost', 'published']);
  await back.stop('three');
  await back.close();
});

t.test('VP8 when the page has no H.264, and media over TCP', async (t) => {
  const page = await publisher('four', { stripCodecs: 'H264', transport: 'TCP' });
  const { video } = registry.find('four')!.publisher!;
  t.equal(video?.codec, 'vp8');
  const subscription = await video!.subscribe();
  const { packets } = receive(subscription);
  await waitFor('packets', () => packets.length > 10);
  subscription.close();
  const player = await SdkPage.open(browser, pages);
  await player.connect(url);
  t.match(await player.play({ name: 'four' }), { status: 'PLAYING' });
  await waitFor('frames', async () => ((await player.playback())?.framesDecoded ?? 0) > 5);
  t.match(await player.stop('four'), { status: 'STOPPED', info: 'Stopped by user' });
  await Promise.all([page.close(), player.close()]);
});

t.test('nothing is left of closed sessions', async (t) => {
  const { worker, router, directTransport, webRtcServer } = pool.pick();
  await waitFor('the last transport to close', () => pool.pick().sessions === 0);
  t.equal((await worker.dump()).routerIds.length, 1, 'routers of players');
  t.same((await router.dump()).transportIds, [directTransport.id], 'transports and pipes');
  t.same((await directTransport.dump()).consumerIds, [], 'subscriptions');
  t.same((await webRtcServer.dump()).webRtcTransportIds, []);
});

t.test('a killed worker ends its streams with the reason, and the next publisher is served', async (t) => {
  const page = await publisher('five');
  let reason: GatewayError | undefined;
  registry.find('five')!.on('ended', (why) => (reason = why));
  process.kill(pool.pids[0]!, 'SIGKILL');
  await waitFor('the end', () => reason);
  t.equal(reason?.code, 'WORKER_DIED');
  await page.event('FAILED', (event) => event.name === 'five' && event.status === 'FAILED');
  await waitFor('another worker', () => pool.pids.length === 1);
  const next = await publisher('five');
  t.ok(registry.find('five')?.publisher);
  await Promise.all([page.close(), next.close()]);
});
