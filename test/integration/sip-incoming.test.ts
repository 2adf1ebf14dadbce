import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeCertificate } from '../helpers/certificate.ts';
import type { SettingsOverrides, TestGateway } from '../helpers/gateway.ts';
import { startNginxRtmp, type NginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recorded, recordedUntil, recordingOf } from '../helpers/recording.ts';
import { freePort } from '../helpers/server-process.ts';
import {
  callOf,
  callOver,
  callReached,
  noBaresip,
  noKamailio,
  startBaresip,
  startKamailio,
  startSipGateway,
  type Baresip,
  type BaresipOptions,
} from '../helpers/sip-peers.ts';
import { waitFor } from '../helpers/wait.ts';
import { frequency, isTone } from '../helpers/wav.ts';

/** A telephone calls the gateway. */

const skip = { skip: noBaresip };
let nginx: NginxRtmp;
let folder: string;
let trusting: Door;

interface Door {
  readonly gateway: TestGateway;
  readonly sipPort: number;
}

async function open(settings: SettingsOverrides): Promise<Door> {
  const sipPort = await freePort();
  const common = { sip_port: sipPort, sip_incoming_networks: '127.0.0.1', max_calls_per_minute: 1000 };
  return { gateway: await startSipGateway({ ...common, ...settings }), sipPort };
}

t.before(async () => {
  if (noBaresip) return;
  folder = await mkdtemp(join(tmpdir(), 'sip-users-'));
  await writeFile(join(folder, 'users'), '1001:pw-1001\n1002:another\n');
  [trusting, nginx] = await Promise.all([open({ sip_incoming: 'trusted', sip_streams: 'studio-*' }), startNginxRtmp()]);
});
t.teardown(async () => {
  await trusting?.gateway.stop();
  await nginx?.stop();
  if (folder) await rm(folder, { recursive: true });
});

async function phone(t: Test, options?: BaresipOptions): Promise<Baresip> {
  const baresip = await startBaresip(options);
  t.teardown(() => baresip.stop());
  return baresip;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as the answers of the gateway
type View = any;

/** The telephone calls; resolves with the call when it is established. */
async function dial(baresip: Baresip, { gateway, sipPort }: Door, stream: string, number = stream): Promise<View> {
  return waitFor(
    `the call of ${stream}`,
    async () => {
      const { body } = await gateway.http('/api/v1/calls');
      const call = (body as View[]).find(({ streamName }) => streamName === stream);
      // A machine that is busy with other tests refuses new streams for some seconds.
      if (!call) await baresip.command('dial', `sip:${number}@127.0.0.1:${sipPort}`);
      return call?.status === 'ESTABLISHED' ? call : undefined;
    },
    { timeout: 30_000, every: 1000 },
  );
}

/** The call is pushed; resolves with the file in which the server records it. */
async function push({ gateway }: Door, stream: string): Promise<string> {
  const { status, text } = await gateway.rest('/push/startup', { streamName: stream, rtmpUrl: nginx.rtmpUrl });
  if (status !== 200) throw new Error(`${status} ${text}`);
  return findRecording(nginx, `rtmp_${stream}`);
}

const streams = async ({ gateway }: Door): Promise<string[]> =>
  ((await gateway.http('/api/v1/streams')).body as { name: string }[]).map(({ name }) => name);

for (const [audioCodecs, name] of [
  ['PCMU/8000/1', 'pcmu'],
  ['PCMA/8000/1', 'pcma'],
  ['opus/48000/2', 'opus'],
] as const)
  void t.test(`a call with ${name} and H.264 is a stream`, skip, async (t) => {
    const baresip = await phone(t, { audioCodecs, tone: 500 });
    const stream = `studio-${name}`;
    const call = await dial(baresip, trusting, stream);
    t.match(call, {
      incoming: true,
      caller: '1001',
      callee: stream,
      audioCodec: name,
      videoCodec: 'h264',
      hasAudio: true,
      hasVideo: true,
      sipStatus: 200,
      mediaProvider: 'SIP',
    });
    await recorded(await push(trusting, stream), 5000);
    if (name === 'pcmu') await baresip.command('hangup');
    else t.equal((await trusting.gateway.rest('/call/terminate', { callId: call.callId })).status, 200);
    t.match(await callOver(trusting.gateway, call.callId), {
      status: 'FINISH',
      reasonCode: name === 'pcmu' ? 'SIP_ENDED' : 'STREAM_STOPPED',
    });
    t.notOk((await streams(trusting)).includes(stream));
    const recording = await analyse(recordingOf(nginx, `rtmp_${stream}`));
    t.same(recording.decodeErrors, []);
    const heard = frequency(recording.samples, 2000, 4000);
    t.ok(isTone(heard, 500), `${heard} Hz`);
    t.ok(recording.audio.largestGap < 100, `audio gap ${recording.audio.largestGap}`);
    t.ok(recording.frames.length > 40, `${recording.frames.length} frames`);
    t.equal(recording.frames.at(-1)!.width, 320);
  });

void t.test('a call that has come is held, and takes digits; its name is in use', skip, async (t) => {
  const baresip = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
  const { gateway, sipPort } = trusting;
  const { callId } = await dial(baresip, trusting, 'studio-hold');
  t.match((await gateway.rest('/call/find', { callId })).body, [{ callId, incoming: true }]);
  await baresip.command('hold');
  await callReached(gateway, callId, 'HOLD');
  await baresip.command('resume');
  await callReached(gateway, callId, 'ESTABLISHED');
  t.equal((await gateway.rest('/call/send_dtmf', { callId, dtmf: '1,#' })).status, 200);
  t.equal((await gateway.rest('/call/inject_sound', { callId, fileName: 'missing.wav' })).status, 404);

  const second = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
  await second.command('dial', `sip:studio-hold@127.0.0.1:${sipPort}`);
  await waitFor('486', () => /486/.test(second.output()));
  await second.command('dial', `sip:other@127.0.0.1:${sipPort}`);
  await waitFor('404', () => /404/.test(second.output()));
  t.equal((await callOf(gateway, callId))?.status, 'ESTABLISHED');
  await baresip.command('hangup');
  t.match(await callOver(gateway, callId), { status: 'FINISH', reasonCode: 'SIP_ENDED' });
});

void t.test('a call comes over TLS, with encrypted media; other addresses get no handshake', skip, async (t) => {
  const certificate = await makeCertificate();
  const tlsPort = await freePort();
  const files = { tls_cert: certificate.certificateFile, tls_key: certificate.keyFile };
  const secure = await open({ sip_incoming: 'trusted', sip_srtp: 'require', sip_tls_port: tlsPort, ...files });
  t.teardown(() => Promise.all([secure.gateway.stop(), certificate.remove()]));
  const baresip = await phone(t, {
    ...{ audioCodecs: 'PCMU/8000/1', video: false, tone: 500 },
    account: `;mediaenc=srtp-mand;outbound="sip:127.0.0.1:${tlsPort};transport=tls"`,
  });
  const { callId } = await dial(baresip, secure, 'private');
  t.match((await secure.gateway.rest('/call/find', { callId })).body, [{ incoming: true, secure: true }]);
  const file = await push(secure, 'private');
  await waitFor('four seconds of audio', async () => (await recordedUntil(file)).audio > 4000);
  // In the call, over the same connection.
  await secure.gateway.rest('/call/terminate', { callId });
  t.match(await callOver(secure.gateway, callId), { status: 'FINISH', reasonCode: 'STREAM_STOPPED' });
  const heard = frequency((await analyse(recordingOf(nginx, 'rtmp_private'))).samples, 1500, 3500);
  t.ok(isTone(heard, 500), `${heard} Hz`);

  const stranger = connect({ port: tlsPort, host: '127.0.0.1', localAddress: '127.0.0.2' });
  t.teardown(() => stranger.destroy());
  let received = 0;
  stranger.on('data', (data) => (received += data.length)).on('error', () => undefined);
  await once(stranger, 'close');
  t.equal(received, 0);
});

void t.test('a caller that is lost continues its stream with the next call', skip, async (t) => {
  const patient = await open({
    sip_incoming: 'trusted',
    rtp_activity_detecting: 'true,3',
    publisher_resume_window_ms: 60_000,
  });
  t.teardown(() => patient.gateway.stop());
  const lost = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
  const { callId } = await dial(lost, patient, 'line');
  lost.freeze();
  t.match(await callOver(patient.gateway, callId, 30_000), { status: 'FAILED', reasonCode: 'SIP_MEDIA_TIMEOUT' });
  t.same(await streams(patient), ['line'], 'the stream is held');
  const back = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
  t.not((await dial(back, patient, 'line')).callId, callId);
  t.same(await streams(patient), ['line']);
  // The gateway stops while the call runs.
});

void t.test('digest: a telephone with the right password, and one with a wrong one', skip, async (t) => {
  const door = await open({ sip_incoming: 'digest', sip_users: join(folder, 'users') });
  t.teardown(() => door.gateway.stop());
  const baresip = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false, tone: 500 });
  const { callId } = await dial(baresip, door, 'webinar');
  const file = await push(door, 'webinar');
  await waitFor('four seconds of audio', async () => (await recordedUntil(file)).audio > 4000);
  await baresip.command('hangup');
  t.match(await callOver(door.gateway, callId), { status: 'FINISH', reasonCode: 'SIP_ENDED', caller: '1001' });
  const { samples } = await analyse(recordingOf(nginx, 'rtmp_webinar'));
  const heard = frequency(samples, 1500, 3500);
  t.ok(isTone(heard, 500), `${heard} Hz`);

  await writeFile(join(folder, 'changed'), '1001:changed\n');
  const changed = await open({ sip_incoming: 'digest', sip_users: join(folder, 'changed') });
  t.teardown(() => changed.gateway.stop());
  await baresip.command('dial', `sip:webinar@127.0.0.1:${changed.sipPort}`);
  await waitFor('403', () => /403/.test(baresip.output()));
  t.same((await changed.gateway.http('/api/v1/calls')).body, []);
  t.notMatch(door.gateway.logs() + changed.gateway.logs(), /pw-1001|another|response=/, 'no password in the log');
});

void t.test('registered: a PBX passes calls to the accounts on', { skip: noBaresip || noKamailio }, async (t) => {
  const kamailio = await startKamailio();
  t.teardown(() => kamailio.stop());
  const place = `@sip.test;proxy=127.0.0.1:${kamailio.port}`;
  const sipPort = await freePort();
  const gateway = await startSipGateway({
    sip_port: sipPort,
    sip_incoming: 'registered',
    sip_register: `2000:pw-2000${place};stream=webinar,2001:pw-2001${place};transport=tcp`,
  });
  t.teardown(() => gateway.stop());
  await waitFor('both accounts to be registered', async () => {
    const { body } = await gateway.http('/api/v1/sip/registrations');
    return (body as { state: string }[]).every(({ state }) => state === 'registered');
  });
  const pbx = { gateway, sipPort: kamailio.port };
  const [one, other] = await Promise.all(
    [500, 700].map((tone) =>
      phone(t, { audioCodecs: 'PCMU/8000/1', video: false, tone, registrar: `127.0.0.1:${kamailio.port}` }),
    ),
  );
  const named = await dial(one!, pbx, 'webinar', '2000');
  t.match(named, { incoming: true, caller: '1001', callee: '2000' }, 'the stream of the account');
  const called = await dial(other!, pbx, '2001');
  t.match(called, { incoming: true, callee: '2001' }, 'the number is the stream');
  const files = [await push(pbx, 'webinar'), await push(pbx, '2001')];
  for (const [index, tone] of [500, 700].entries()) {
    await waitFor('four seconds of audio', async () => (await recordedUntil(files[index]!)).audio > 4000);
    const heard = frequency((await analyse(files[index]!)).samples, 1500, 3500);
    t.ok(isTone(heard, tone), `${heard} Hz`);
  }
  await one!.command('hangup');
  t.match(await callOver(gateway, named.callId), { status: 'FINISH', reasonCode: 'SIP_ENDED' });
  t.equal((await gateway.rest('/call/terminate', { callId: called.callId })).status, 200);
  await callOver(gateway, called.callId);

  // Past the PBX: the Contact cannot be guessed.
  const stranger = await phone(t, { audioCodecs: 'PCMU/8000/1', video: false });
  await stranger.command('dial', `sip:2000@127.0.0.1:${sipPort}`);
  await waitFor('403', () => /403/.test(stranger.output()));
  t.same((await gateway.http('/api/v1/streams')).body, []);
  t.notMatch(gateway.logs(), /pw-200/);
});
