import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../../src/media/codecs/opus-packet.ts';
import type { IvfFourcc } from '../../src/media/containers/ivf.ts';
import { startChromium } from '../helpers/chromium.ts';
import {
  announcing,
  framesOf,
  isFrame,
  ivfOf,
  metadataOf,
  oggOf,
  readTag,
  sha256,
  startEnhancedServer,
  tagsOf,
  type EnhancedTag,
} from '../helpers/enhanced-server.ts';
import { MESSAGE } from '../../src/rtmp/message.ts';
import { ffmpeg, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { readFlv } from '../helpers/flv-file.ts';
import { publishPage } from '../helpers/console-page.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { startNodeMediaServer } from '../helpers/node-media-server.ts';
import { analyse, findRecording, median, recordingOf } from '../helpers/recording.ts';
import { startScriptedServer, type ScriptedPeer, type ScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { noteSentFrames, sentFrames } from '../helpers/sent-frames.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);

const folder = await mkdtemp(join(tmpdir(), 'enhanced-rtmp-'));
const [whipPages, sdkPages] = await Promise.all([startWhipPageServer(), startPageServer()]);
// Servers that hang are found soon.
const settings = {
  ...{ rtmp_push_stall_timeout_ms: 2000, publisher_resume_window_ms: 30_000 },
  ...{ embedded_rtmp_server: true, embedded_rtmp_port: await freePort(), embedded_http_flv_port: await freePort() },
};
const [browser, gateway, nginx, nms, taker] = await Promise.all([
  startChromium(),
  startGateway({ cors_origins: new URL(whipPages.url).origin, rtmp_transponder_full_url: true, ...settings }),
  startNginxRtmp(),
  startNodeMediaServer(),
  startEnhancedServer({
    videoFourCcInfoMap: { vp08: 4, vp09: 4, av01: 4 },
    audioFourCcInfoMap: { Opus: 4 },
  }),
]);
t.teardown(async () => {
  await browser.close();
  await Promise.all([whipPages.close(), sdkPages.close()]);
  await gateway.stop();
  await Promise.all([nginx.stop(), nms.stop(), taker.stop()]);
  await rm(folder, { recursive: true });
});

const CODECS = {
  vp8: { fourcc: 'vp08', number: 0x76703038, ivf: 'VP80' },
  vp9: { fourcc: 'vp09', number: 0x76703039, ivf: 'VP90' },
  av1: { fourcc: 'av01', number: 0x61763031, ivf: 'AV01' },
} as const;
const OPUS = 0x4f707573;
const size = { width: 320, height: 180 };

/** The page that publishes what the tests of servers push. */
const shared = await WhipPage.open(browser, whipPages);
const publishShared = (): Promise<void> => publish(shared, 'shared', 'vp9', 'tone');

/** Resolves when the stream is live. */
async function publish(
  page: WhipPage,
  name: string,
  codec: keyof typeof CODECS,
  source: 'tone' | 'flashAndBeep',
  to = gateway,
): Promise<void> {
  const options = { codec, source, sourceOptions: size };
  const { status } = await page.publish(`${to.httpUrl}/live/whip/endpoint/${name}`, options);
  if (status !== 201) throw new Error(`the publication was answered ${status}`);
  // It is found as PENDING before its media arrives.
  await waitFor('the stream', async () => {
    const { status, body } = await to.rest('/stream/find', { name });
    return status === 200 && body[0].status === 'PUBLISHING';
  });
}

/** For each flash with a beep, how much later the beep is, in milliseconds. */
async function lipSync(name: string, ivf: IvfFourcc, tags: readonly EnhancedTag[]): Promise<number[]> {
  const [video, audio, both] = ['ivf', 'ogg', 'flv'].map((ending) => join(folder, `${name}.${ending}`));
  await Promise.all([writeFile(video!, ivfOf(ivf, size, tags)), writeFile(audio!, oggOf(tags))]);
  const encode = ['-c:v', 'libx264', '-preset', 'ultrafast', '-fps_mode', 'passthrough', '-c:a', 'aac'];
  await ffmpeg(['-copyts', '-i', video!, '-i', audio!, '-map', '0:v', '-map', '1:a', ...encode, both!]);
  return (await analyse(both!)).lipSync();
}

/** Decodes what has arrived with the decoder of ffmpeg, and returns the hashes of the frames. */
async function decoded(ivf: 'VP80' | 'VP90' | 'AV01', tags: readonly EnhancedTag[]): Promise<readonly string[]> {
  const file = join(folder, `${ivf}-${tags.length}.ivf`);
  await writeFile(file, ivfOf(ivf, size, tags));
  return frameHashes(['-i', file, '-map', '0:v']);
}

for (const [codec, { fourcc, number, ivf }] of Object.entries(CODECS)) {
  await t.test(
    `${codec} and Opus go as they are to a server that takes them, and as H.264 and AAC to one that does not`,
    async (t) => {
      const page = await WhipPage.open(browser, whipPages);
      await noteSentFrames(page.page);
      const name = `show-${codec}`;
      await publish(page, name, codec as keyof typeof CODECS, 'flashAndBeep');
      const peers = taker.peers.length;
      const taken = await gateway.startPush({ streamName: name, rtmpUrl: `${taker.rtmpUrl}/${name}` });
      const plain = await gateway.startPush({ streamName: name, rtmpUrl: `${nginx.rtmpUrl}/${name}` });
      // node-media-server announces nothing, and passes on what it gets.
      const asked =
        codec === 'vp8'
          ? undefined
          : await gateway.startPush({
              ...{ streamName: name, rtmpUrl: `${nms.rtmpUrl}/${name}`, videoCodec: 'source', audioCodec: 'source' },
            });
      const running = [taken, plain, ...(asked ? [asked] : [])];
      for (const push of running) await gateway.reached(push.mediaSessionId, 'pushing');
      t.match((await gateway.transponder(taken.mediaSessionId))!.codecs, {
        ...{ video: fourcc, audio: 'Opus', why: `the server announced ${fourcc}; the server announced Opus` },
      });
      t.match((await gateway.transponder(plain.mediaSessionId))!.codecs, {
        ...{ video: 'avc1', audio: 'mp4a', why: /^the server did not announce/ },
      });
      const peer = taker.peers[peers]!;
      const frames = () => tagsOf(peer).filter(isFrame);
      await waitFor('five seconds of frames', () => frames().length > 100 && frames().at(-1)!.timestamp > 5000, {
        timeout: 30_000,
      });
      await gateway.reached(plain.mediaSessionId, 'pushing');
      t.equal(gateway.children('video-encoder').length, 1, 'one encoder, for the server that does not take it');

      const tags = tagsOf(peer);
      const headers = tags.filter(({ kind, sequenceHeader }) => kind === 'video' && sequenceHeader);
      t.equal(headers.length, 1, 'the sequence header is sent once');
      t.equal(headers[0]!.fourcc, fourcc);
      t.equal(tags.filter(({ kind, sequenceHeader }) => kind === 'audio' && sequenceHeader).length, 1);
      t.ok(frames()[0]!.keyFrame, 'it begins with a key frame');
      t.ok(frames().filter(({ keyFrame }) => keyFrame).length >= 2, 'and has more of them');
      t.match(metadataOf(peer), { ...size, videocodecid: number, audiocodecid: OPUS });
      t.ok(Number(metadataOf(peer)['framerate']) > 5, `${String(metadataOf(peer)['framerate'])} frames per second`);
      const sent = await waitFor('what the page has sent', async () => {
        const hashes = await sentFrames(page.page);
        return hashes.includes(sha256(frames().at(-1)!.payload)) ? hashes : undefined;
      });
      const arrived = frames().map(({ payload }) => sha256(payload));
      const from = sent.indexOf(arrived[0]!);
      t.ok(from >= 0);
      t.strictSame(arrived, sent.slice(from, from + arrived.length), 'each frame, byte by byte');
      const whole = tags.slice(0, tags.findLastIndex(isFrame) + 1);
      t.equal((await decoded(ivf, whole)).length, whole.filter(isFrame).length, 'all decode');
      const offsets = await lipSync(name, ivf, whole);
      t.ok(offsets.length >= 3 && Math.abs(median(offsets)) <= 60, `beep minus flash, ms: ${offsets.join(' ')}`);

      for (const push of running) await gateway.rest('/push/terminate', { mediaSessionId: push.mediaSessionId });
      const recording = await analyse(recordingOf(nginx, name));
      t.ok(recording.frames.length > 60, 'the other server has H.264 that decodes');
      if (asked) {
        const { tags: recorded } = readFlv(await readFile(await findRecording(nms, `/${name}/`)));
        const kept = recorded
          .map(({ kind, timestamp, body }) =>
            readTag({ type: { audio: 8, video: 9, script: 18 }[kind], timestamp, payload: body }),
          )
          .filter(({ kind }) => kind === 'video');
        t.equal(kept[0]!.fourcc, fourcc);
        t.ok(kept[0]!.sequenceHeader);
        const hashes = kept.filter(isFrame).map(({ payload }) => sha256(payload));
        const all = await sentFrames(page.page);
        t.strictSame(
          hashes,
          all.slice(all.indexOf(hashes[0]!)).slice(0, hashes.length),
          'node-media-server has the same',
        );
        t.equal((await decoded(ivf, kept)).length, hashes.length);
      }
      await page.request('DELETE');
      await page.close();
    },
  );
}

const extrasOf = (peer: ScriptedPeer): Record<string, unknown> => {
  const { values } = peer.commands.find(({ name }) => name === 'connect')!;
  const { capsEx, videoFourCcInfoMap, audioFourCcInfoMap, fourCcList } = values[0] as Record<string, unknown>;
  return { capsEx, videoFourCcInfoMap, audioFourCcInfoMap, fourCcList };
};
const isForeign = ({ fourcc }: EnhancedTag): boolean => fourcc !== undefined;
const end = (mediaSessionId: string) => gateway.rest('/push/terminate', { mediaSessionId });
/** Pushes to a server, and waits until the server has had frames for a time on its last connection. */
async function pushFor(server: ScriptedServer, connection: number, milliseconds: number, more: object = {}) {
  const { mediaSessionId } = await gateway.startPush({
    ...{ streamName: 'shared', rtmpUrl: `${server.rtmpUrl}/shared`, ...more },
  });
  await waitFor(
    `frames on connection ${connection + 1}`,
    () => (framesOf(server.peers[connection]).at(-1)?.timestamp ?? -1) >= milliseconds,
    { timeout: 45_000 },
  );
  return (await gateway.transponder(mediaSessionId))!;
}

await t.test(
  'a server that fails on unknown fields of connect is asked once more without them, and remembered',
  async (t) => {
    await publishShared();
    for (const fail of ['reject', 'close'] as const) {
      const server = await startScriptedServer({
        answers: {
          connect: (peer, command) => {
            if (extrasOf(peer)['fourCcList'] === undefined) return announcing({})(peer, command);
            if (fail === 'close') return void peer.socket.destroy();
            peer.reject(command, 'NetConnection.Connect.Rejected', 'Cannot parse the command object');
          },
        },
      });
      t.teardown(() => server.stop());
      const push = await pushFor(server, 1, 0);
      t.match(push, { attempt: 0, codecs: { video: 'avc1', audio: 'mp4a' } });
      t.match(extrasOf(server.peers[0]!), {
        capsEx: 1,
        videoFourCcInfoMap: { vp09: 4 },
        audioFourCcInfoMap: { Opus: 4 },
      });
      const nothing = {
        capsEx: undefined,
        videoFourCcInfoMap: undefined,
        audioFourCcInfoMap: undefined,
        fourCcList: undefined,
      };
      t.strictSame(extrasOf(server.peers[1]!), nothing);
      await end(push.mediaSessionId);
      await end((await pushFor(server, 2, 0)).mediaSessionId);
      t.equal(server.peers.length, 3, 'the next push needs one connection');
      t.strictSame(extrasOf(server.peers[2]!), nothing);
    }
  },
);

const BOTH = { videoFourCcInfoMap: { vp09: 4 }, audioFourCcInfoMap: { Opus: 4 } };

await t.test('a server that closes at the sequence header gets H.264 and AAC; with source the push ends', async (t) => {
  const ways = {
    error: (peer: ScriptedPeer) => peer.status('error', 'NetStream.Failed', 'Unsupported codec'),
    close: (peer: ScriptedPeer) => void peer.socket.destroy(),
  };
  let fail: (peer: ScriptedPeer) => void;
  const server = await startScriptedServer({
    answers: { connect: announcing(BOTH) },
    onMessage: (peer, message) => {
      if (isForeign(readTag(message))) fail(peer);
    },
  });
  t.teardown(() => server.stop());
  for (const [name, way] of Object.entries(ways)) {
    fail = way;
    const refused = await gateway.startPush({
      ...{ streamName: 'shared', rtmpUrl: `${server.rtmpUrl}/${name}`, videoCodec: 'source', audioCodec: 'aac' },
    });
    const { reasonCode, reason } = await gateway.ended(refused.mediaSessionId);
    t.equal(reasonCode, 'DESTINATION_REFUSED', name);
    t.match(reason, /does not take VP9 \(vp09\)/);
  }
  const before = server.peers.length;
  // That the server keeps this one is noticed once a second.
  const push = await pushFor(server, before + 1, 7500);
  t.match(push, { status: 'pushing', codecs: { video: 'avc1', audio: 'mp4a', why: /closed the connection at vp09/ } });
  t.notOk(tagsOf(server.peers[before + 1]!).some(isForeign));
  await end(push.mediaSessionId);
  await end((await pushFor(server, before + 2, 0)).mediaSessionId);
  t.equal(server.peers.length, before + 3, 'the server is remembered: the next push begins with H.264');
  t.match(await (await fetch(`${gateway.httpUrl}/metrics`)).text(), /gateway_push_codec_fallbacks_total 1\b/);
});

await t.test('a server that takes the header and then acknowledges nothing gets H.264 and AAC', async (t) => {
  const server = await startScriptedServer({
    answers: { connect: announcing(BOTH) },
    onMessage: (peer, message) => {
      const frames = tagsOf(peer).filter((tag) => isForeign(tag) && !tag.sequenceHeader);
      if (frames.length > 1 || !(message.type in { 8: 0, 9: 0, 18: 0 })) return;
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(peer.received);
      peer.send(MESSAGE.acknowledgement, bytes);
    },
  });
  t.teardown(() => server.stop());
  const push = await pushFor(server, 1, 0);
  t.match(push, { codecs: { video: 'avc1', audio: 'mp4a' } });
  t.notOk(tagsOf(server.peers[1]!).some(isForeign));
  await end(push.mediaSessionId);
});

await t.test('with source, a server that announces other codecs ends the push before anything is sent', async (t) => {
  const server = await startEnhancedServer({ videoFourCcInfoMap: { av01: 1 } });
  t.teardown(() => server.stop());
  const { mediaSessionId } = await gateway.startPush({
    ...{ streamName: 'shared', rtmpUrl: `${server.rtmpUrl}/shared`, videoCodec: 'source' },
  });
  t.match(await gateway.ended(mediaSessionId), { reasonCode: 'DESTINATION_REFUSED', reason: /did not announce vp09/ });
  t.strictSame(tagsOf(server.peers[0]!), []);
});

await t.test('standby, mute and a backup server that takes nothing, with VP9 and Opus', async (t) => {
  const backup = await startEnhancedServer({});
  t.teardown(() => backup.stop());
  const first = taker.peers.length;
  const { mediaSessionId } = await gateway.startPush({
    ...{ streamName: 'shared', rtmpUrl: `${taker.rtmpUrl}/standby`, backupUrl: `${backup.rtmpUrl}/standby` },
    standby: { source: 'color', color: '#204060', freezeMs: 0 },
  });
  const peer = () => taker.peers[first]!;
  await waitFor('live video', () => framesOf(peer()).length > 30 && framesOf(backup.peers[0]).length > 30, {
    timeout: 30_000,
  });
  t.notOk(tagsOf(backup.peers[0]!).some(isForeign), 'the backup has H.264 and AAC');
  await gateway.rest('/push/mute', { mediaSessionId });
  const isSilence = ({ kind, payload }: EnhancedTag): boolean =>
    kind === 'audio' && /^(f8fffe|fb02fffefffe)$/.test(payload.toString('hex'));
  await waitFor('silence', () =>
    tagsOf(peer())
      .slice(-10)
      .filter(({ kind }) => kind === 'audio')
      .every(isSilence),
  );
  await gateway.rest('/push/unmute', { mediaSessionId });
  await waitFor(
    'the tone',
    () =>
      tagsOf(peer())
        .filter(({ kind }) => kind === 'audio')
        .at(-1)!.payload.length > 10,
  );
  await shared.request('DELETE');
  await gateway.reached(mediaSessionId, 'standby');
  const begun = framesOf(peer()).length;
  const begunAtBackup = framesOf(backup.peers[0]).length;
  await waitFor(
    'three seconds of standby',
    () => framesOf(peer()).length > begun + 80 && framesOf(backup.peers[0]).length > begunAtBackup + 80,
  );
  t.ok(isSilence(tagsOf(peer()).findLast(({ kind }) => kind === 'audio')!), 'Opus silence');
  await publishShared();
  await gateway.reached(mediaSessionId, 'pushing');
  const returned = framesOf(peer()).length;
  await waitFor('live video again', () => framesOf(peer()).length > returned + 30);
  t.equal(taker.peers.length, first + 1, 'on one connection');
  const tags = tagsOf(peer()).filter(({ kind }) => kind !== 'data');
  t.ok(tags.every(isForeign), 'in the same codecs throughout');
  const times = framesOf(peer()).map(({ timestamp }) => timestamp);
  t.ok(times.every((time, index) => index === 0 || time > times[index - 1]!));
  t.ok(Math.max(...times.slice(1).map((time, index) => time - times[index]!)) < 1500, 'without a long gap');
  t.equal((await decoded('VP90', tags)).length, tags.filter(isFrame).length, 'all decode');
  await end(mediaSessionId);
});

await t.test('mpegts.js in Chromium plays AV1 and Opus from the embedded server', async (t) => {
  const publisher = await WhipPage.open(browser, whipPages);
  await publish(publisher, 'played', 'av1', 'tone');
  const { mediaSessionId } = await gateway.startPush({
    ...{ streamName: 'played', rtmpUrl: `rtmp://127.0.0.1:${settings.embedded_rtmp_port}/live/played` },
    ...{ videoCodec: 'source', audioCodec: 'source' },
  });
  await gateway.reached(mediaSessionId, 'pushing');
  // The page of the gateway has the player, and may play from the server.
  const page = await browser.newPage();
  await page.goto(publishPage(gateway.httpUrl));
  const shown = (await page.evaluate(`(async () => {
    const video = Object.assign(document.createElement('video'), { muted: true });
    document.body.append(video);
    const player = mpegts.createPlayer({ type: 'flv', isLive: true, url: '/console/live/played.flv' });
    const errors = [];
    player.on(mpegts.Events.ERROR, (...error) => errors.push(error.map(String).join(' ')));
    player.attachMediaElement(video);
    player.load();
    player.play();
    for (const end = performance.now() + 15_000; performance.now() < end && video.currentTime < 2 && errors.length === 0;)
      await new Promise((resolve) => setTimeout(resolve, 100));
    const { videoWidth: width, videoHeight: height, currentTime } = video;
    const { totalVideoFrames: frames } = video.getVideoPlaybackQuality();
    return { width, height, currentTime, frames, errors };
  })()`)) as Record<string, unknown>;
  t.match((await gateway.transponder(mediaSessionId))!.codecs, { video: 'av01', audio: 'Opus' });
  t.match(shown, { ...size, errors: [] });
  t.ok(Number(shown['currentTime']) >= 2 && Number(shown['frames']) > 20, JSON.stringify(shown));
  await end(mediaSessionId);
  await page.close();
  await publisher.request('DELETE');
  await publisher.close();
});

await t.test('after a restart of the gateway, standby begins in the codec that went out', async (t) => {
  const server = await startEnhancedServer(BOTH);
  const own = { ...{ cors_origins: new URL(whipPages.url).origin, state_dir: join(folder, 'state') } };
  let restarted = await startGateway(own);
  t.teardown(async () => {
    await restarted.stop();
    await server.stop();
  });
  const publisher = await WhipPage.open(browser, whipPages);
  await publish(publisher, 'kept', 'vp9', 'tone', restarted);
  const { mediaSessionId } = await restarted.startPush({
    ...{ streamName: 'kept', rtmpUrl: server.rtmpUrl, videoCodec: 'source' },
    standby: { source: 'color', color: '#204060' },
  });
  await waitFor('live video', () => framesOf(server.peers[0]).length > 10);
  await publisher.close();
  await restarted.stop();
  restarted = await startGateway(own);
  await waitFor('standby', () => framesOf(server.peers[1]).length > 10);
  t.ok(
    tagsOf(server.peers[1]!)
      .filter(({ kind }) => kind !== 'data')
      .every(isForeign),
  );
  t.match(await restarted.transponder(mediaSessionId), { status: 'standby', codecs: { video: 'vp09', audio: 'Opus' } });
});

await t.test(
  'the official Web SDK publishes VP8: each frame arrives as it was sent, and a sound file in Opus',
  async (t) => {
    const sdk = await SdkPage.open(browser, sdkPages);
    await noteSentFrames(sdk.page);
    await sdk.publishTo(gateway.wsUrl, { name: 'sdk', stripCodecs: 'H264,VP9,AV1', source: 'tone' });
    const { mediaSessionId } = await gateway.startPush({ streamName: 'sdk', rtmpUrl: `${taker.rtmpUrl}/sdk` });
    await gateway.reached(mediaSessionId, 'pushing');
    t.match((await gateway.transponder(mediaSessionId))!.codecs, { video: 'vp08', audio: 'Opus' });
    const peer = taker.peers.at(-1)!;
    await waitFor('frames', () => framesOf(peer).length > 60);
    const arrived = framesOf(peer).map(({ payload }) => sha256(payload));
    const sent = await waitFor('what the page has sent', async () => {
      const hashes = await sentFrames(sdk.page);
      return hashes.includes(arrived.at(-1)!) ? hashes : undefined;
    });
    t.strictSame(arrived, sent.slice(sent.indexOf(arrived[0]!)).slice(0, arrived.length));

    const audio = () => tagsOf(peer).filter(({ kind, sequenceHeader }) => kind === 'audio' && !sequenceHeader);
    const lengthOf = ({ payload }: EnhancedTag): number => (1000 * opusPacketSamples(payload)) / OPUS_SAMPLE_RATE;
    t.equal(lengthOf(audio().at(-1)!), 40, 'what audio_packet_ms asks for');
    await gateway.rest('/push/sound_on', { mediaSessionId, soundFile: 'test.wav', loop: true });
    await waitFor('a second of the file', () =>
      audio()
        .slice(-50)
        .every((tag) => lengthOf(tag) === 20),
    );
    const played = audio().slice(-50);
    t.ok(played.every((tag, index) => index === 0 || Math.abs(tag.timestamp - played[index - 1]!.timestamp - 20) <= 2));
    t.ok(played.filter(({ payload }) => payload.length > 20).length > 40, 'it is heard');
    await gateway.rest('/push/sound_off', { mediaSessionId });
    await waitFor('the microphone', () => lengthOf(audio().at(-1)!) === 40);
    await end(mediaSessionId);
  },
);
