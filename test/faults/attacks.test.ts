import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { BenchProcess } from '../../bench/child-process.ts';
import type { TransponderView } from '../../src/views/push-view.ts';
import { AttackStage, NEIGHBOURS } from '../helpers/attack-stage.ts';
import { makeCertificate } from '../helpers/certificate.ts';
import { freePort } from '../helpers/server-process.ts';
import { opusPackets, OPUS_PACKET_MS } from '../helpers/opus.ts';
import type { RtpPublisherRequests } from '../helpers/rtp-publishers-main.ts';
import { waitFor } from '../helpers/wait.ts';
import { silentWav } from '../helpers/wav.ts';

/** Clients that try to harm other clients, with media, offers and files. Floods of requests are in floods.test.ts. */

const MAX_ENCODER_MEMORY = 200;
/**
 * Packets of 120 ms: 12 minutes of audio. Without the limit to real time the encoder that streams share needs half a
 * second for them, and all its streams are silent for as long.
 */
const CLAIMS = 6000;

t.setTimeout(300_000);
const media = t.testdir();
const { certificateFile, keyFile, remove } = await makeCertificate();
t.teardown(remove);
const securePorts = {
  'https.port': await freePort(),
  'wss.port': await freePort(),
  'hls.https.port': await freePort(),
};
const hlsPort = await freePort();
const [stage, attackers] = await Promise.all([
  AttackStage.start({
    media_dir: media,
    rooms: true,
    hls: true,
    'hls.port': hlsPort,
    ...securePorts,
    tls_cert: certificateFile,
    tls_key: keyFile,
    max_http_connections_per_ip: 100,
    max_hls_viewers_per_client: 20,
  }),
  BenchProcess.start<RtpPublisherRequests>('../test/helpers/rtp-publishers-main.ts'),
]);
t.teardown(async () => {
  await attackers.stop();
  await stage.stop();
});
const { gateway, sink, rtmpUrl } = stage;

interface Steady {
  readonly stream: string;
  readonly codec: 'vp8' | 'opus';
  payload: Buffer;
  readonly everyMs: number;
  readonly clockRate: number;
}

/** Publishes a payload at a steady rate until the test ends. */
async function publishSteadily(t: Test, track: Steady): Promise<{ timestamp: () => number; stop: () => void }> {
  const { stream, codec, everyMs, clockRate } = track;
  await attackers.ask('start', { httpUrl: gateway.httpUrl, stream, codec });
  let timestamp = 0;
  const timer = setInterval(() => send(stream, track.payload, (timestamp += (everyMs * clockRate) / 1000)), everyMs);
  t.teardown(() => {
    clearInterval(timer);
    return attackers.ask('stop', stream);
  });
  return { timestamp: () => timestamp, stop: () => clearInterval(timer) };
}

/** The gateway may publish a stream a moment after its client is connected. */
const push = (streamName: string): Promise<TransponderView> =>
  waitFor('a push', () => gateway.startPush({ streamName, rtmpUrl }));

const send = (stream: string, payload: Buffer, timestamp: number): void =>
  void attackers.ask('send', { stream, payload: payload.toString('base64'), timestamp });

/** The status of one request, from any address and with any header. */
const call = (options: RequestOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', agent: false, ...options }, (response) => resolve(response.resume().statusCode!))
      .on('error', reject)
      .end();
  });

/** Opens connections that send nothing. */
async function flood(t: Test, port: number, connections: number) {
  let closed = 0;
  const sockets = Array.from({ length: connections }, () =>
    connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .once('close', () => closed++)
      .resume(),
  );
  const end = (): void => sockets.forEach((socket) => void socket.destroy());
  t.teardown(end);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return { closed: () => closed, end };
}

t.test('80 snapshots over 20 WebSockets', async (t) => {
  const SOCKETS = 20;
  const ffmpegs = await stage.underAttack(t, async () => {
    const sockets = await Promise.all(
      Array.from({ length: SOCKETS }, async () => {
        const socket = new WebSocket(gateway.wsUrl);
        await once(socket, 'open');
        socket.send('{"message":"connection","data":[{}]}');
        return socket;
      }),
    );
    const answers = new Map<string, string>();
    for (const [index, socket] of sockets.entries()) {
      socket.on('message', (bytes: Buffer) => {
        const { message, data } = JSON.parse(bytes.toString());
        if (message === 'notifyStreamEvent') answers.set(data[0].mediaSessionId, data[0].type);
      });
      for (const name of NEIGHBOURS)
        socket.send(JSON.stringify({ message: 'snapshot', data: [{ mediaSessionId: `${name}-${index}`, name }] }));
    }
    await waitFor('all answers', () => answers.size === SOCKETS * NEIGHBOURS.length);
    t.strictSame([...new Set(answers.values())], ['snapshotCompleted']);
    for (const socket of sockets) socket.terminate();
  });
  t.ok(ffmpegs.atOnce <= 2, `${ffmpegs.atOnce} at once`);
  t.ok(ffmpegs.pids.size <= 4 * NEIGHBOURS.length, `${ffmpegs.pids.size} in total: the answers are shared`);
});

t.test('Opus packets of five bytes that claim 120 ms each', async (t) => {
  const [payload] = opusPackets('sine=frequency=440', 1);
  const before = gateway.children('audio-encoder').map(({ pid }) => pid);
  t.ok(before.length > 0);
  await stage.underAttack(t, async () => {
    const attacker = await publishSteadily(t, {
      stream: 'claims',
      codec: 'opus',
      payload: payload!,
      everyMs: OPUS_PACKET_MS,
      clockRate: 48_000,
    });
    const { mediaSessionId } = await push('claims');
    await gateway.reached(mediaSessionId, 'pushing');
    attacker.stop();
    const pushed = async (): Promise<number> =>
      (await sink.ask('streams')).find(({ name }) => name === 'rtmp_claims')!.audioFrames;
    const framesBefore = await pushed();
    // Two frames of 60 ms of SILK.
    for (let packet = 1; packet <= CLAIMS; packet++)
      send('claims', Buffer.of(0x19, 0, 0, 0, 0), attacker.timestamp() + packet * 5760);
    await waitFor('the packets to have been encoded', async () => (await pushed()) > framesBefore + 100);
  });
  const after = gateway.children('audio-encoder').map(({ pid }) => pid);
  t.strictSame(
    before.filter((pid) => !after.includes(pid)),
    [],
    'no audio encoder was killed',
  );
});

t.test('a VP8 key frame that claims 8192x8192', async (t) => {
  const source = ['-f', 'lavfi', '-i', 'color=red:size=320x180', '-frames:v', '1', '-c:v', 'libvpx', '-f', 'ivf'];
  const frame = execFileSync('ffmpeg', ['-loglevel', 'error', ...source, 'pipe:1']).subarray(32 + 12);
  const payload = Buffer.concat([Buffer.of(0x10), frame]);
  const { memory, atOnce } = await stage.underAttack(t, async () => {
    const track: Steady = { stream: 'huge', codec: 'vp8', payload, everyMs: 40, clockRate: 90_000 };
    await publishSteadily(t, track);
    const { mediaSessionId } = await push('huge');
    await gateway.reached(mediaSessionId, 'pushing');
    const claim = Buffer.from(payload);
    // RFC 6386, 9.1: behind the frame tag and the start code.
    claim.writeUInt16LE(8192, 1 + 6);
    claim.writeUInt16LE(8192, 1 + 8);
    track.payload = claim;
    t.match(await gateway.ended(mediaSessionId), { reasonCode: 'FRAME_TOO_LARGE', reason: /8192x8192/ });
  });
  t.equal(atOnce, 1, 'it was transcoded before');
  t.ok(memory < MAX_ENCODER_MEMORY, `${memory.toFixed(0)} MB`);
});

t.test('500 offers without media', async (t) => {
  const OFFERS = 500;
  const ATTACKERS = 10;
  const SLOTS = 20;
  /** A session whose client sends nothing loses its slot after this time. */
  const SLOT_MS = 5000;
  const offer = readFileSync(new URL('../unit/webrtc/fixtures/chromium-publish.sdp', import.meta.url), 'utf8');
  const publish = (stream: string, from: string): Promise<void> =>
    attackers.ask('start', { httpUrl: gateway.httpUrl, stream, codec: 'opus', from });
  await stage.underAttack(t, async () => {
    const beganMs = performance.now();
    const statuses: number[] = [];
    const post = (stream: string) =>
      gateway.http(`/whip/${stream}`, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer });
    const attacker = async (_: unknown, number: number): Promise<void> => {
      for (let offers = 0; offers < OFFERS / ATTACKERS; offers++)
        statuses.push((await post(`attack-${number}-${offers}`)).status);
    };
    await Promise.all(Array.from({ length: ATTACKERS }, attacker));
    const count = (wanted: number): number => statuses.filter((status) => status === wanted).length;
    // A slow machine may need several times 5 s.
    const allowed = SLOTS * (Math.floor((performance.now() - beganMs) / SLOT_MS) + 1);
    t.ok(count(201) > 0 && count(201) <= allowed, `${count(201)} of ${allowed} accepted`);
    t.equal(count(503), OFFERS - count(201), 'the others are refused');
    await Promise.all(Array.from({ length: SLOTS }, (_, slot) => post(`last-${slot}`)));
    await t.rejects(publish('same', '127.0.0.1'), /max_pending_sessions_per_ip/);
    await publish('other', '127.0.0.2');
    t.comment(
      `another client publishes after ${Math.round(performance.now() - beganMs)} ms, while the slots are taken`,
    );
    await waitFor('a slot', () => publish('same', '127.0.0.1').then(() => true), { every: 250 });
    t.comment(`the slots are free after ${Math.round(performance.now() - beganMs)} ms`);
    await Promise.all(['other', 'same'].map((stream) => attackers.ask('stop', stream)));
  });
});

t.test('named pipes and endless files as sound files', async (t) => {
  execFileSync('mkfifo', [join(media, 'pipe.wav')]);
  const slow = silentWav(800);
  // Hertz, bytes per second, bytes of audio.
  slow.writeUInt32LE(100, 24);
  slow.writeUInt32LE(200, 28);
  slow.writeUInt32LE(90_000_000, 40);
  await writeFile(join(media, 'slow.wav'), slow);
  await truncate(join(media, 'slow.wav'), 90_000_000);
  await writeFile(join(media, 'good.wav'), silentWav(8000));
  const { pids } = await stage.underAttack(t, async () => {
    const [push] = (await gateway.rest('/push/find', { streamName: 'one' })).body;
    const soundOn = async (soundFile: string): Promise<string> => {
      const { body } = await gateway.rest('/push/sound_on', {
        mediaSessionId: push.mediaSessionId,
        soundFile,
        loop: false,
      });
      return body?.exception;
    };
    // libuv has four threads for files.
    const pipes = await Promise.all(new Array(8).fill('pipe.wav').map(soundOn));
    t.strictSame([...new Set(pipes)], ['SOUND_FILE_NOT_FOUND']);
    t.equal(await soundOn('slow.wav'), 'SOUND_FILE_INVALID');
  });
  t.equal(pids.size, 0, 'neither reaches a decoder');
});

t.test('pages of other origins', async (t) => {
  await stage.losesNoFrame(t, async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }])
      for (const path of ['/api/v1/server/drain', '/rest-api/push/terminate', '/rest-api/push/startup', '/whip/evil']) {
        const answer = await call({ port: gateway.ports.http, method: 'POST', path, headers });
        t.equal(answer, 403, `${path} ${JSON.stringify(headers)}`);
      }
    t.equal((await gateway.http('/health/ready')).status, 200, 'it does not drain');
  });
});

t.test('connections, viewers and TLS handshakes', async (t) => {
  await stage.losesNoFrame(t, async () => {
    const idle = await flood(t, hlsPort, 300);
    await waitFor('the limit of connections', () => idle.closed() >= 200);
    t.equal(await call({ port: hlsPort, path: '/none', localAddress: '127.0.0.2' }), 404, 'others are served');
    idle.end();
    const viewer = (localAddress: string): Promise<number> =>
      waitFor('a playlist', () =>
        call({ port: hlsPort, path: '/one/one.m3u8', localAddress }).then((status) =>
          status === 200 ? status : undefined,
        ),
      );
    await viewer('127.0.0.3');
    const statuses = await Promise.all(
      Array.from({ length: 80 }, () => call({ port: hlsPort, path: '/one/one.m3u8', localAddress: '127.0.0.3' })),
    );
    t.ok(
      statuses.every((status) => [200, 429, 503].includes(status)),
      [...new Set(statuses)].join(),
    );
    t.equal(await viewer('127.0.0.4'), 200, 'another viewer');
    const [https, wss] = await Promise.all([
      flood(t, securePorts['https.port'], 50),
      flood(t, securePorts['wss.port'], 50),
    ]);
    await waitFor('the end of the handshakes', () => https.closed() === 50 && wss.closed() === 50);
  });
});

t.test('logins, reasons and texts of members', async (t) => {
  const join = async () => {
    const socket = new WebSocket(`${gateway.httpUrl.replace('http', 'ws')}/live/attack`);
    const texts: string[] = [];
    let closed = false;
    socket.on('message', (text: Buffer) => texts.push(String(text)));
    socket.on('close', () => (closed = true));
    await once(socket, 'open');
    return { socket, texts, closed: () => closed };
  };
  const members = async (): Promise<{ id: string }[]> =>
    (await gateway.http('/api/v1/rooms/live%2Fattack')).body.members ?? [];
  await stage.losesNoFrame(t, async () => {
    const [ann, eve] = [await join(), await join()];
    await waitFor('the members', async () => (await members()).length === 2);
    const forged = '{"data":{"type":"sharedobject","name":"so","value":{"x":1}}}';
    eve.socket.send(forged);
    await waitFor('the text', () => ann.texts.length > 0);
    t.strictSame(JSON.parse(ann.texts[0]!), { data: { type: 'text', text: forged } });
    const headers = { 'content-type': 'application/json' };
    const reasons = ['統'.repeat(60), '"'.repeat(200)];
    for (const [index, { id }] of (await members()).entries()) {
      const body = JSON.stringify({ reason: reasons[index] });
      const path = `/api/v1/rooms/live%2Fattack/members/${id}`;
      t.equal((await gateway.http(path, { method: 'DELETE', headers, body })).status, 204);
    }
    await waitFor('both to be gone', () => ann.closed() && eve.closed());
    for (const login of ['統'.repeat(31), '"'.repeat(64)]) {
      const infos: string[] = [];
      for (let page = 0; page < 2; page++) {
        const socket = new WebSocket(gateway.wsUrl);
        t.teardown(() => socket.terminate());
        socket.on('message', (text: Buffer) => infos.push(String(text)));
        await once(socket, 'open');
        const send = (message: string, content: object) => socket.send(JSON.stringify({ message, data: [content] }));
        send('connection', { appKey: 'roomApp', custom: { login } });
        send('sendData', { operationId: 'join', payload: { command: 'join', options: { name: 'attack' } } });
        await waitFor('an answer', () => infos.some((text) => text.includes('DataStatusEvent')));
      }
      await waitFor('the refusal', () => infos.some((text) => text.includes('FAILED')));
    }
    t.equal((await gateway.http('/health/live')).status, 200);
  });
});

t.test('SIGTERM ends the gateway after all that', async (t) => {
  await gateway.stop();
  t.equal(await gateway.exited, 0, 'in order');
});
