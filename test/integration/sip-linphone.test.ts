import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import type { TestGateway } from '../helpers/gateway.ts';
import { noLinphone, noLinphoneH264, startLinphone, type Linphone, type LinphoneOptions } from '../helpers/linphone.ts';
import { startNginxRtmp, type NginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { freePort } from '../helpers/server-process.ts';
import { callOf, callOver, callReached, startSipGateway } from '../helpers/sip-peers.ts';
import { waitFor } from '../helpers/wait.ts';
import { frequency, isTone } from '../helpers/wav.ts';

/** A second telephone, whose stack shares no code with that of baresip: AVPF, a Contact with an instance, other SDP. */

const TONE = 500;
const skip = { skip: noLinphone };
const needs = (video?: string) => ({ skip: video === 'H264' ? noLinphoneH264 : noLinphone });
let gateway: TestGateway;
let nginx: NginxRtmp;
let sipPort: number;

t.before(async () => {
  if (noLinphone) return;
  sipPort = await freePort();
  [gateway, nginx] = await Promise.all([
    startSipGateway({
      sip_port: sipPort,
      sip_incoming: 'trusted',
      sip_incoming_networks: '127.0.0.1',
      max_calls_per_minute: 1000,
    }),
    startNginxRtmp(),
  ]);
});
t.teardown(async () => {
  await gateway?.stop();
  await nginx?.stop();
});

async function phone(t: Test, options: LinphoneOptions): Promise<Linphone> {
  const linphone = await startLinphone({ tone: TONE, ...options });
  t.teardown(() => linphone.stop());
  return linphone;
}

/** The gateway calls the telephone and pushes the call. Resolves with the recording when the server gets it. */
async function call(linphone: Linphone, callId: string, hasVideo = false): Promise<string> {
  const request = {
    ...{ callId, callee: `sip:1001@127.0.0.1:${linphone.port}`, hasAudio: true, hasVideo },
    ...{ rtmpUrl: nginx.rtmpUrl, rtmpStream: callId },
  };
  // A machine that is busy with other tests refuses new streams for some seconds.
  const { status, text } = await waitFor('the start of the call', async () => {
    const answer = await gateway.rest('/call/startup', request);
    return answer.status === 503 ? undefined : answer;
  });
  if (status !== 200) throw new Error(`${status} ${text}`);
  await callReached(gateway, callId, 'ESTABLISHED');
  await waitFor('the push', async () => (await callOf(gateway, callId))?.rtmpStreamStatus === 'pushing');
  return findRecording(nginx, `rtmp_${callId}`);
}

const WINDOW_MS = 500;

/** The tone is in most of the recording. */
async function hears(t: Test, name: string): Promise<void> {
  const { samples, audio, decodeErrors } = await analyse(recordingOf(nginx, `rtmp_${name}`));
  t.same(decodeErrors, []);
  const windows: number[] = [];
  for (let ms = 1000; (ms + WINDOW_MS) * 48 <= samples.length; ms += WINDOW_MS)
    windows.push(frequency(samples, ms, ms + WINDOW_MS));
  const right = windows.filter((heard) => isTone(heard, TONE));
  t.ok(right.length > windows.length / 2, `Hz: ${windows.join(' ')}`);
  t.ok(audio.largestGap < 100, `audio gap ${audio.largestGap}`);
}

const fourSeconds = (file: string): Promise<unknown> =>
  waitFor('four seconds of audio', async () => (await recordedUntil(file)).audio > 4000);

for (const [audio, audioCodec] of [
  ['PCMU', 'pcmu'],
  ['opus', 'opus'],
] as const)
  void t.test(`linphone is called with ${audioCodec}; each side ends a call`, skip, async (t) => {
    const linphone = await phone(t, { audio });
    const [first, second] = [`${audioCodec}-by-us`, `${audioCodec}-by-them`];
    await fourSeconds(await call(linphone, first));
    t.match(await callOf(gateway, first), { incoming: false, audioCodec, hasVideo: false, sipStatus: 200 });
    t.equal((await gateway.rest('/call/terminate', { callId: first })).status, 200);
    t.match(await callOver(gateway, first), { status: 'FINISH', reasonCode: 'STREAM_STOPPED' });
    await waitFor('linphone to end the call', () => /Call 1 .* ended/.test(linphone.output()));
    await hears(t, first);
    t.ok((await readFile(linphone.heard)).length > 1000, 'linphone decodes the silence that it is sent');

    await fourSeconds(await call(linphone, second));
    await linphone.command('terminate');
    t.match(await callOver(gateway, second), { status: 'FINISH', reasonCode: 'SIP_ENDED' });
    await hears(t, second);
  });

for (const [video, videoCodec] of [
  ['H264', 'h264'],
  ['VP8', 'vp8'],
] as const)
  void t.test(`linphone is called with ${videoCodec}`, needs(video), async (t) => {
    const linphone = await phone(t, { audio: 'PCMU', video });
    const file = await call(linphone, videoCodec, true);
    t.match(await callOf(gateway, videoCodec), { audioCodec: 'pcmu', videoCodec, hasVideo: true });
    await recorded(file, 5000);
    await linphone.command('terminate');
    t.match(await callOver(gateway, videoCodec), { status: 'FINISH', reasonCode: 'SIP_ENDED' });
    await hears(t, videoCodec);
    const { frames } = await analyse(file);
    // It sends its image once a second.
    t.ok(frames.length >= 4, `${frames.length} frames`);
    t.ok(frames.at(-1)!.width > 100, `${frames.at(-1)!.width} pixels`);
  });

for (const [video, videoCodec] of [
  [undefined, undefined],
  ['H264', 'h264'],
] as const)
  void t.test(`linphone calls with ${videoCodec ?? 'audio alone'}: its call is a stream`, needs(video), async (t) => {
    const linphone = await phone(t, { audio: 'opus', ...(video && { video }) });
    const name = `calls-${videoCodec ?? 'audio'}`;
    const { callId } = await waitFor(
      'the call',
      async () => {
        const { body } = await gateway.http('/api/v1/calls');
        const view = (body as { streamName: string; status: string; callId: string }[]).find(
          ({ streamName }) => streamName === name,
        );
        if (!view) await linphone.command(`call sip:${name}@127.0.0.1:${sipPort}`);
        return view?.status === 'ESTABLISHED' ? view : undefined;
      },
      { every: 1000 },
    );
    t.match(await callOf(gateway, callId), {
      ...{ incoming: true, caller: '1001', callee: name, audioCodec: 'opus', hasVideo: Boolean(video) },
      ...(videoCodec && { videoCodec }),
    });
    t.match((await gateway.http('/api/v1/streams')).body, [{ name, status: 'live' }]);
    const { status, text } = await gateway.rest('/push/startup', { streamName: name, rtmpUrl: nginx.rtmpUrl });
    t.equal(status, 200, text);
    const file = await findRecording(nginx, `rtmp_${name}`);
    await fourSeconds(file);
    await linphone.command('terminate');
    t.match(await callOver(gateway, callId), { status: 'FINISH', reasonCode: 'SIP_ENDED' });
    t.same((await gateway.http('/api/v1/streams')).body, []);
    await hears(t, name);
    if (video) t.ok((await analyse(file)).frames.length >= 2, 'video');
  });
