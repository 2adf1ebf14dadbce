import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeCertificate } from '../helpers/certificate.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { startNginxRtmp, type NginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import type { TestGateway } from '../helpers/gateway.ts';
import {
  callOf,
  callOver,
  callReached,
  noBaresip,
  noKamailio,
  noKamailioTls,
  startBaresip,
  startKamailio,
  startSipGateway,
  type Baresip,
  type BaresipOptions,
} from '../helpers/sip-peers.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';
import { frequency, isTone, toneWav } from '../helpers/wav.ts';

let gateway: TestGateway;
let nginx: NginxRtmp;

t.before(async () => {
  if (noBaresip) return;
  [gateway, nginx] = await Promise.all([startSipGateway(), startNginxRtmp()]);
});
t.teardown(async () => {
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
async function dial(baresip: Baresip, body: Record<string, unknown> = {}, caller = gateway): Promise<string> {
  const callId = `call-${++calls}`;
  const request = {
    callId,
    callee: `sip:1001@127.0.0.1:${baresip.port}`,
    rtmpUrl: nginx.rtmpUrl,
    rtmpStream: callId,
    hasAudio: 'true',
    hasVideo: 'true',
    ...body,
  };
  // A machine that is busy with other tests refuses new streams for some seconds.
  const answer = await waitFor(
    'the start of the call',
    async () => {
      const one = await caller.rest('/call/startup', request);
      return one.status === 503 ? undefined : one;
    },
    { timeout: 30_000, every: 500 },
  );
  if (answer.status !== 200 || answer.text !== '') throw new Error(`${answer.status} ${answer.text}`);
  await callReached(caller, callId, 'ESTABLISHED');
  await waitFor('the push', async () => (await callOf(caller, callId))?.rtmpStreamStatus === 'pushing');
  return callId;
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
    t.ok(isTone(frequency(recording.samples, 2000, 4000), 500), `${frequency(recording.samples, 2000, 4000)} Hz`);
    t.ok(recording.audio.largestGap < 100, `audio gap ${recording.audio.largestGap}`);
    t.ok(recording.frames.length > 40, `${recording.frames.length} frames`);
    t.equal(recording.frames.at(-1)!.width, 320);
  });

void t.test('a call on hold goes on, and ends when the telephone hangs up', { skip: noBaresip }, async (t) => {
  const baresip = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
  const callId = await dial(baresip, { hasVideo: 'false' });
  await baresip.command('hold');
  await callReached(gateway, callId, 'HOLD');
  await baresip.command('resume');
  await callReached(gateway, callId, 'ESTABLISHED');
  t.equal((await gateway.rest('/call/send_dtmf', { callId, dtmf: '1,#' })).status, 200);
  t.equal((await gateway.rest('/call/inject_sound', { callId, fileName: 'missing.wav' })).status, 404);
  t.equal(
    (await gateway.rest('/call/startup', { callId, callee: 'sip:1@127.0.0.1:5070', toStream: 'y' })).body.exception,
    'CALL_EXISTS',
  );
  await baresip.command('hangup');
  t.match(await callOver(gateway, callId), { status: 'FINISH', reasonCode: 'SIP_ENDED' });
  const { body } = await gateway.http('/api/v1/streams');
  t.notOk(
    (body as { name: string }[]).some(({ name }) => name === callId),
    'the stream has ended',
  );
});

void t.test('the telephone hears an injected sound', { skip: noBaresip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sounds-'));
  await writeFile(join(folder, 'tone.wav'), toneWav(8, 700, 0.5));
  const playing = await startSipGateway({ media_dir: folder });
  t.teardown(async () => {
    await playing.stop();
    await rm(folder, { recursive: true });
  });
  const baresip = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false, echoes: true });
  const callId = await dial(baresip, { hasVideo: 'false' }, playing);
  const file = await findRecording(nginx, `rtmp_${callId}`);
  await waitFor('the first audio', async () => (await recordedUntil(file)).audio > 0);
  t.equal((await playing.rest('/call/inject_sound', { callId, fileName: 'tone.wav' })).status, 200);
  const until = (await recordedUntil(file)).audio + 6000;
  await waitFor('six seconds of the sound', async () => (await recordedUntil(file)).audio > until);
  await playing.rest('/call/terminate', { callId });
  t.match(await callOver(playing, callId), { status: 'FINISH' });
  const { samples } = await analyse(recordingOf(nginx, `rtmp_${callId}`));
  const heard = frequency(samples, until - 4000, until - 2000);
  t.ok(isTone(heard, 700), `${heard} Hz come back`);
});

for (const audioCodecs of ['PCMU/8000/1', 'opus/48000/2'])
  void t.test(`the telephone hears a stream of the gateway (${audioCodecs})`, { skip: noBaresip }, async (t) => {
    const stream = `music-${audioCodecs.split('/')[0]}`;
    const media = await createMedia('320x180');
    const publisher = await MediaPublisher.start({ httpUrl: gateway.httpUrl, stream, fps: 30, ...media });
    t.teardown(async () => {
      await publisher.kill();
      await media.remove();
    });
    const baresip = await phone(t, { audioCodecs, video: false, echoes: true });
    const callId = await dial(baresip, { hasVideo: 'false' });
    const file = await findRecording(nginx, `rtmp_${callId}`);
    await waitFor('the first audio', async () => (await recordedUntil(file)).audio > 0);
    const inject = (path: string, body: object = {}) =>
      gateway.rest(`/call/inject_stream${path}`, { callId, streamName: stream, ...body });
    t.match(await inject('', { streamName: callId }), { status: 400, text: /streamName/ });
    t.equal((await inject('', { streamName: 'nothing' })).status, 404);
    t.equal((await inject('')).status, 200);
    const until = (await recordedUntil(file)).audio + 5000;
    await waitFor('five seconds of the stream', async () => (await recordedUntil(file)).audio > until);
    t.equal((await inject('/terminate')).status, 200);
    t.equal(gateway.children('video-encoder').length, 0);
    const silentFrom = (await recordedUntil(file)).audio + 1500;
    await waitFor('silence', async () => (await recordedUntil(file)).audio > silentFrom + 1500);
    await gateway.rest('/call/terminate', { callId });
    t.match(await callOver(gateway, callId), { status: 'FINISH' });
    const { samples, level } = await analyse(recordingOf(nginx, `rtmp_${callId}`));
    const heard = frequency(samples, until - 3000, until - 1000);
    t.ok(isTone(heard, 440), `${heard} Hz come back`);
    t.ok(level(silentFrom, silentFrom + 1000) < -50, `${level(silentFrom, silentFrom + 1000)} dBFS afterwards`);
  });

void t.test('a telephone that is lost leaves its stream to the next call', { skip: noBaresip }, async (t) => {
  const patient = await startSipGateway({ rtp_activity_detecting: 'true,3', publisher_resume_window_ms: 60_000 });
  t.teardown(() => patient.stop());
  const streamStatus = async (): Promise<string | undefined> => {
    const { body } = await patient.http('/api/v1/streams');
    return (body as { name: string; status: string }[]).find(({ name }) => name === 'phone')?.status;
  };
  const call = async (): Promise<Baresip> => {
    const baresip = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
    const callee = `sip:1001@127.0.0.1:${baresip.port}`;
    await waitFor(
      'the start',
      async () => (await patient.rest('/call/startup', { callId: 'same', callee, toStream: 'phone' })).status === 200,
      { every: 500 },
    );
    await callReached(patient, 'same', 'ESTABLISHED');
    return baresip;
  };
  (await call()).freeze();
  t.match(await callOver(patient, 'same', 30_000), { status: 'FAILED', reasonCode: 'SIP_MEDIA_TIMEOUT' });
  t.equal(await streamStatus(), 'held');
  await call();
  t.equal(await streamStatus(), 'live', 'the same callId continues it');
  // The gateway stops while the call runs.
});

void t.test('signalling over TLS, and encrypted media', { skip: noBaresip || noKamailioTls }, async (t) => {
  const certificate = await makeCertificate();
  const { certificateFile: cert, keyFile: key } = certificate;
  const proxy = await startKamailio({ certificate: { cert, key } });
  const [secure, distrustful] = [
    await startSipGateway({ sip_srtp: 'require', sip_tls_ca: cert }),
    await startSipGateway({ sip_transport: 'tls' }),
  ];
  t.teardown(() => Promise.all([secure.stop(), distrustful.stop(), proxy.stop(), certificate.remove()]));
  const baresip = await phone(t, {
    audioCodecs: 'PCMU/8000/1',
    video: false,
    account: ';mediaenc=srtp-mand',
    registrar: `127.0.0.1:${proxy.port}`,
    tone: 500,
  });
  await waitFor('the registration', () => /registered|200 OK/i.test(baresip.output()));
  const account = { sipLogin: '2000', sipPassword: 'pw-2000', sipDomain: '127.0.0.1', sipPort: proxy.tlsPort };
  const callId = await dial(baresip, { callee: '1001', hasVideo: false, sipTransport: 'tls', ...account }, secure);
  t.match(await callOf(secure, callId), { secure: true, status: 'ESTABLISHED' });
  const { text } = await secure.http('/api/v1/calls');
  t.notMatch(text, /inline:|pw-2000/, 'keys and passwords are not shown');
  const file = await findRecording(nginx, `rtmp_${callId}`);
  await waitFor('four seconds of audio', async () => (await recordedUntil(file)).audio > 4000);
  await secure.rest('/call/terminate', { callId });
  t.match(await callOver(secure, callId), { status: 'FINISH' });
  const { samples } = await analyse(recordingOf(nginx, `rtmp_${callId}`));
  t.ok(isTone(frequency(samples, 1500, 3500), 500), `${frequency(samples, 1500, 3500)} Hz`);
  await distrustful.rest('/call/startup', { callId: 'x', callee: '1001', toStream: 'x', ...account });
  t.match(await callOver(distrustful, 'x'), { status: 'FAILED', reasonCode: 'SIP_TLS_FAILED' });
});

void t.test('a proxy with digest, over UDP and TCP', { skip: noBaresip || noKamailio }, async (t) => {
  const proxy = await startKamailio();
  t.teardown(() => proxy.stop());
  const baresip = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false, registrar: `127.0.0.1:${proxy.port}` });
  await waitFor('the registration', () => /registered|200 OK/i.test(baresip.output()));
  for (const sipTransport of ['udp', 'tcp']) {
    const account = {
      sipLogin: '2000',
      sipPassword: 'pw-2000',
      sipDomain: '127.0.0.1',
      sipPort: proxy.port,
      sipTransport,
    };
    const callId = await dial(baresip, { callee: '1001', hasVideo: 'false', ...account });
    await gateway.rest('/call/terminate', { callId });
    t.match(await callOver(gateway, callId), { status: 'FINISH', sipStatus: 200 }, sipTransport);
    const wrong = { callId: `wrong-${sipTransport}`, callee: '1001', toStream: `wrong-${sipTransport}`, ...account };
    await gateway.rest('/call/startup', { ...wrong, sipPassword: 'no' });
    t.match(await callOver(gateway, wrong.callId), { status: 'FAILED', reasonCode: 'SIP_AUTH_FAILED' });
    await gateway.rest('/call/startup', { ...wrong, callId: `no-${sipTransport}`, callee: '4711' });
    t.match(await callOver(gateway, `no-${sipTransport}`), {
      status: 'FAILED',
      reasonCode: 'SIP_NOT_FOUND',
      sipStatus: 404,
    });
    t.notMatch(gateway.logs(), /pw-2000/, 'no password in the log');
  }
});

void t.test('servers that are not there, and hosts that are not allowed', { skip: noBaresip }, async (t) => {
  const start = (callee: string, more = {}) =>
    gateway.rest('/call/startup', { callId: callee, callee, toStream: callee, ...more });
  t.match((await start('sip:1@10.0.0.1')).body, { status: 400, exception: 'SIP_DESTINATION_FORBIDDEN' });
  t.match((await start('sip:1@127.0.0.1:80')).body, { status: 400, exception: 'SIP_DESTINATION_FORBIDDEN' });
  for (const sipTransport of ['tcp', 'tls']) {
    const callee = `sip:${sipTransport}@127.0.0.1:${await freePort()}`;
    t.equal((await start(callee, { sipTransport })).status, 200);
    t.match(await callOver(gateway, callee), { status: 'FAILED', reasonCode: 'SIP_UNREACHABLE' });
  }
});
