import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../../src/media/codecs/opus-packet.ts';
import { startChromium } from '../helpers/chromium.ts';
import { startCluster } from '../helpers/cluster.ts';
import { framesOf, ivfOf, startEnhancedServer, tagsOf, type EnhancedTag } from '../helpers/enhanced-server.ts';
import { frameHashes } from '../helpers/ffmpeg-tool.ts';
import { startGateway, type TestGateway } from '../helpers/gateway.ts';
import type { ScriptedPeer } from '../helpers/scripted-rtmp-server.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';
import { waitFor } from '../helpers/wait.ts';

/** What pushes survive with H.264 and AAC, with AV1 and Opus going out. */

t.setTimeout(FILE_TIMEOUT);

const folder = await mkdtemp(join(tmpdir(), 'enhanced-continuity-'));
const [pages, sdkPages] = await Promise.all([startWhipPageServer(), startPageServer()]);
const TAKES = { videoFourCcInfoMap: { av01: 4 }, audioFourCcInfoMap: { Opus: 4 } };
const [browser, server, backup] = await Promise.all([
  startChromium(),
  startEnhancedServer(TAKES),
  startEnhancedServer(TAKES),
]);
t.teardown(async () => {
  await browser.close();
  await Promise.all([pages.close(), sdkPages.close()]);
  await Promise.all([server.stop(), backup.stop()]);
  await rm(folder, { recursive: true });
});
const settings = {
  cors_origins: new URL(pages.url).origin,
  ...{ rtmp_transponder_full_url: true, publisher_resume_window_ms: 0 },
};
const size = { width: 320, height: 180 };
const standby = { source: 'color', color: '#204060', freezeMs: 0 };
const CODECS = { video: 'av01', audio: 'Opus' };

/** Publishes AV1 and Opus, and waits until the push is live. */
async function publish(to: TestGateway, name: string): Promise<WhipPage> {
  const page = await WhipPage.open(browser, pages);
  const options = { codec: 'av1', source: 'tone', sourceOptions: size } as const;
  const { status, text } = await page.publish(`${to.httpUrl}/live/whip/endpoint/${name}`, options);
  if (status !== 201) throw new Error(`the publication was answered ${status}: ${text}`);
  await waitFor('the stream', async () => {
    const { status, body } = await to.rest('/stream/find', { name });
    return status === 200 && body[0].status === 'PUBLISHING';
  });
  return page;
}

const furtherFrames = (peer: () => ScriptedPeer | undefined): Promise<unknown> => {
  const before = framesOf(peer()).length;
  return waitFor('further frames', () => framesOf(peer()).length > before + 30, { timeout: 30_000 });
};

const audioOf = (peer: ScriptedPeer | undefined): EnhancedTag[] =>
  peer ? tagsOf(peer).filter(({ kind, sequenceHeader }) => kind === 'audio' && !sequenceHeader) : [];
const isSilence = ({ payload }: EnhancedTag): boolean => /^(f8fffe|fb02fffefffe)$/.test(payload.toString('hex'));
const lengthOf = ({ payload }: EnhancedTag): number => (1000 * opusPacketSamples(payload)) / OPUS_SAMPLE_RATE;

/** A connection has AV1 and Opus only, its times go forward, and each frame decodes. */
async function isSound(t: Test, peer: ScriptedPeer | undefined): Promise<void> {
  const tags = tagsOf(peer!).filter(({ kind }) => kind !== 'data');
  t.ok(tags.every(({ kind, fourcc }) => fourcc === CODECS[kind as 'video' | 'audio']));
  const frames = framesOf(peer);
  t.ok(frames[0]!.keyFrame);
  t.ok(frames.every(({ timestamp }, index) => index === 0 || timestamp > frames[index - 1]!.timestamp));
  const file = join(folder, `${frames.length}.ivf`);
  await writeFile(file, ivfOf('AV01', size, tags));
  t.equal((await frameHashes(['-i', file, '-map', '0:v'])).length, frames.length, 'all decode');
}

await t.test('two servers, one of which closes its connection; mute and a sound file at both', async (t) => {
  const gateway = await startGateway(settings);
  t.teardown(() => gateway.stop());
  // In the packets of 40 ms that the gateway asks for; those of sound files have 20 ms.
  const page = await SdkPage.open(browser, sdkPages);
  const options = { source: 'tone', sourceOptions: size } as const;
  await page.publishTo(gateway.wsUrl, { name: 'both', stripCodecs: 'H264,VP8,VP9', ...options });
  const { mediaSessionId } = await gateway.startPush({
    ...{ streamName: 'both', rtmpUrl: `${server.rtmpUrl}/both`, backupUrl: `${backup.rtmpUrl}/both` },
  });
  const servers = [server, backup];
  const live = () => Promise.all(servers.map(({ peers }) => furtherFrames(() => peers.at(-1))));
  await live();
  const view = (await gateway.transponder(mediaSessionId))!;
  t.match(view, { codecs: CODECS, legs: [{ status: 'pushing' }, { status: 'pushing' }] });
  t.equal(gateway.children('video-encoder').length, 0, 'no encoder');

  // A server that closes earlier is taken for one that does not take the codecs.
  await waitFor('more than five seconds', () => framesOf(server.peers[0]).at(-1)!.timestamp > 7500, {
    timeout: 20_000,
  });
  server.peers[0]!.socket.destroy();
  await waitFor('the server again', () => framesOf(server.peers[1]).length > 30, { timeout: 30_000 });
  t.equal(backup.peers.length, 1, 'the backup keeps its connection');

  const sounds = (what: string, is: (tag: EnhancedTag) => boolean) =>
    waitFor(what, () => {
      const last = servers.map(({ peers }) => audioOf(peers.at(-1)).slice(-20));
      if (last.every((tags) => tags.length === 20 && tags.every(is))) return true;
      throw new Error(
        last.map((tags) => tags.map((tag) => `${lengthOf(tag)}:${tag.payload.length}`).join()).join('; '),
      );
    });
  const isHeard = (tag: EnhancedTag): boolean => lengthOf(tag) === 40 && tag.payload.length > 10;
  await sounds('the tone', isHeard);
  await gateway.rest('/push/mute', { mediaSessionId });
  await sounds('silence', isSilence);
  await gateway.rest('/push/unmute', { mediaSessionId });
  await sounds('the tone', isHeard);
  await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: 'test.wav', loop: true });
  await sounds('the file', (tag) => lengthOf(tag) === 20 && !isSilence(tag));
  await gateway.rest('/push/sound_off', { mediaSessionId });
  await sounds('the tone', isHeard);
  await live();
  await gateway.rest('/push/terminate', { mediaSessionId });
  await gateway.ended(mediaSessionId);
  for (const peer of [...server.peers, ...backup.peers]) await isSound(t, peer);
  await page.close();
});

await t.test('ten destinations, four of which take AV1: one encoder, for the six others', async (t) => {
  const [gateway, plain] = await Promise.all([startGateway(settings), startEnhancedServer({})]);
  t.teardown(async () => {
    await gateway.stop();
    await plain.stop();
  });
  const page = await publish(gateway, 'ten');
  const before = server.peers.length;
  const urls = Array.from({ length: 10 }, (_, index) => `${(index < 4 ? server : plain).rtmpUrl}/ten${index}`);
  for (const rtmpUrl of urls) await gateway.startPush({ streamName: 'ten', rtmpUrl });
  const peers = () => [...server.peers.slice(before), ...plain.peers];
  await waitFor(
    'frames everywhere',
    () => peers().length === 10 && peers().every((peer) => framesOf(peer).length > 30),
    {
      timeout: 30_000,
    },
  );
  t.equal(gateway.children('video-encoder').length, 1);
  t.ok(server.peers.slice(before).every((peer) => framesOf(peer).every(({ fourcc }) => fourcc === 'av01')));
  t.ok(plain.peers.every((peer) => framesOf(peer).every(({ fourcc }) => fourcc === undefined)));
  await gateway.rest('/push/terminate', { streamName: 'ten' });
  await page.close();
});

for (const end of ['SIGKILL', 'SIGTERM'] as const)
  await t.test(`a gateway that is ended with ${end} goes on with standby, and live again`, async (t) => {
    const own = { ...settings, state_dir: join(folder, end) };
    let gateway = await startGateway(own);
    t.teardown(() => gateway.stop());
    const before = server.peers.length;
    const page = await publish(gateway, end);
    const { mediaSessionId } = await gateway.startPush({
      ...{ streamName: end, rtmpUrl: `${server.rtmpUrl}/${end}`, standby },
    });
    await furtherFrames(() => server.peers[before]);
    process.kill(gateway.pid, end);
    await gateway.exited;
    await page.close();
    gateway = await startGateway(own);
    await furtherFrames(() => server.peers[before + 1]);
    t.match(await gateway.reached(mediaSessionId, 'standby'), { codecs: CODECS });
    t.ok(audioOf(server.peers[before + 1]).every(isSilence));
    const next = await publish(gateway, end);
    await gateway.reached(mediaSessionId, 'pushing');
    await furtherFrames(() => server.peers[before + 1]);
    await gateway.rest('/push/terminate', { mediaSessionId });
    await gateway.ended(mediaSessionId);
    await next.close();
    t.equal(server.peers.length, before + 2, 'on one connection');
    await isSound(t, server.peers[before + 1]);
  });

await t.test('the push of a node that is killed goes on at another node', async (t) => {
  const cluster = await startCluster({ nodes: 2, settings });
  t.teardown(() => cluster.stop());
  const manager = cluster.managers[0]!;
  const before = server.peers.length;
  const page = await publish(manager, 'moved');
  const { mediaSessionId } = await manager.startPush({
    ...{ streamName: 'moved', rtmpUrl: `${server.rtmpUrl}/moved`, standby },
  });
  await furtherFrames(() => server.peers[before]);
  await manager.rest('/push/mute', { mediaSessionId });
  const owner = (await cluster.ownerOf('moved'))!;
  process.kill(cluster.nodes[owner]!.pid, 'SIGKILL');
  await page.close();
  await furtherFrames(() => server.peers[before + 1]);
  t.match(await manager.reached(mediaSessionId, 'standby'), { codecs: CODECS, muted: true });
  const next = await publish(manager, 'moved');
  t.equal(await cluster.ownerOf('moved'), 1 - owner);
  await manager.reached(mediaSessionId, 'pushing');
  await furtherFrames(() => server.peers[before + 1]);
  t.ok(audioOf(server.peers[before + 1]).every(isSilence), 'it is still muted');
  t.equal((await manager.rest('/push/terminate', { mediaSessionId })).status, 200);
  await manager.ended(mediaSessionId);
  await next.close();
  t.equal(server.peers.length, before + 2, 'on one connection');
  await isSound(t, server.peers[before + 1]);
});
