import t, { type Test } from 'tap';
import { startNginxRtmp, type NginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recorded, recordingOf } from '../helpers/recording.ts';
import type { TestGateway } from '../helpers/gateway.ts';
import {
  callOf,
  callOver,
  callReached,
  noBaresip,
  startBaresip,
  startSipGateway,
  type Baresip,
  type BaresipOptions,
} from '../helpers/sip-peers.ts';
import { waitFor } from '../helpers/wait.ts';

let gateway: TestGateway;
let nginx: NginxRtmp;

t.before(async () => {
  if (noBaresip) return;
  [gateway, nginx] = await Promise.all([startSipGateway(), startNginxRtmp()]);
});
t.after(async () => {
  await gateway?.stop();
  await nginx?.stop();
});

async function phone(t: Test, options?: BaresipOptions): Promise<Baresip> {
  const baresip = await startBaresip(options);
  t.teardown(() => baresip.stop());
  return baresip;
}

let calls = 0;
/** Calls a telephone and pushes the call; resolves when the server gets it. */
async function dial(baresip: Baresip, body: Record<string, unknown> = {}): Promise<string> {
  const callId = `call-${++calls}`;
  const answer = await gateway.rest('/call/startup', {
    callId,
    callee: `sip:1001@127.0.0.1:${baresip.port}`,
    rtmpUrl: nginx.rtmpUrl,
    rtmpStream: callId,
    hasAudio: 'true',
    hasVideo: 'true',
    ...body,
  });
  if (answer.status !== 200 || answer.text !== '') throw new Error(`${answer.status} ${answer.text}`);
  await callReached(gateway, callId, 'ESTABLISHED');
  await waitFor('the push', async () => (await callOf(gateway, callId))?.rtmpStreamStatus === 'pushing');
  return callId;
}

/** The frequency of a tone, from its zero crossings. Hertz. */
function frequency(samples: Float32Array, from: number, to: number): number {
  const part = samples.subarray(from * 48, to * 48);
  let crossings = 0;
  for (let i = 1; i < part.length; i++) if (part[i - 1]! < 0 && part[i]! >= 0) crossings++;
  return crossings / ((to - from) / 1000);
}

for (const [audioCodecs, name] of [
  ['PCMU/8000/1', 'pcmu'],
  ['PCMA/8000/1', 'pcma'],
  ['opus/48000/2', 'opus'],
] as const)
  void t.test(`a call with ${name} and H.264 is pushed`, { skip: noBaresip }, async (t) => {
    const baresip = await phone(t, { audioCodecs, tone: 500 });
    const callId = await dial(baresip);
    const view = await callOf(gateway, callId);
    t.match(view, {
      incoming: false,
      audioCodec: name,
      videoCodec: 'h264',
      hasAudio: true,
      hasVideo: true,
      sipStatus: 200,
      mediaProvider: 'SIP',
    });
    const file = await findRecording(nginx, `rtmp_${callId}`);
    await recorded(file, 5000);
    t.equal((await gateway.rest('/call/terminate', { callId })).status, 200);
    t.match(await callOver(gateway, callId), { status: 'FINISH', reasonCode: 'STREAM_STOPPED' });
    const recording = await analyse(recordingOf(nginx, `rtmp_${callId}`));
    t.same(recording.decodeErrors, []);
    t.ok(
      Math.abs(frequency(recording.samples, 2000, 4000) - 500) < 5,
      `${frequency(recording.samples, 2000, 4000)} Hz`,
    );
    t.ok(recording.audio.largestGap < 100, `audio gap ${recording.audio.largestGap}`);
    t.ok(recording.frames.length > 40, `${recording.frames.length} frames`);
    t.equal(recording.frames.at(-1)!.width, 320);
  });
