import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { EmbeddedRtmpServer } from '../../src/embedded/embedded-rtmp-server.ts';
import type { GatewayError } from '../../src/errors.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import { createFlvTags, writeTags } from '../helpers/flv-source.ts';
import { death, pushTarget, ready } from '../helpers/push-target.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

const run = promisify(execFile);

const start = async (): Promise<EmbeddedRtmpServer> =>
  EmbeddedRtmpServer.create({ rtmpPort: await freePort(), httpFlvPort: await freePort(), logger: silentLogger });

/** Pushes test video and a tone until it is killed. */
function pushTestFrame(url: string, ...options: string[]): ChildProcess {
  const source = [
    '-re',
    '-f',
    'lavfi',
    '-i',
    'testsrc2=size=320x180:rate=25',
    '-f',
    'lavfi',
    '-i',
    'sine=sample_rate=48000',
  ];
  const codecs = [
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-tune',
    'zerolatency',
    '-pix_fmt',
    'yuv420p',
    '-g',
    '25',
    '-c:a',
    'aac',
  ];
  return spawn('ffmpeg', ['-v', 'error', ...source, ...codecs, '-f', 'flv', ...options, url], { stdio: 'ignore' });
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Local addresses on which a process listens for TCP, as /proc shows them: hexadecimal address and port. */
async function listeners(port: number): Promise<string[]> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return tables
    .join('\n')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((row) => row[3] === '0A' && row[1]?.endsWith(suffix))
    .map((row) => row[1]!);
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

t.test('a stream that is pushed by RTMP plays over HTTP-FLV', async (t) => {
  const cwd = process.cwd();
  const empty = await mkdtemp(join(tmpdir(), 'embedded-'));
  process.chdir(empty);
  const server = await start();
  process.chdir(cwd);
  const push = pushTestFrame(`${server.rtmpUrl}/rtmp_stream1`);
  t.teardown(async () => {
    await kill(push);
    await server.close();
    await rm(empty, { recursive: true });
  });

  const url = `http://127.0.0.1:${server.httpFlvPort}/live/rtmp_stream1.flv`;
  t.equal(url, `http://127.0.0.1:${server.httpFlvPort}/live/rtmp_stream1.flv`);
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-of', 'json', '-show_streams', '-read_intervals', '%+1', '-count_frames', url],
    { timeout: 60_000 },
  );
  const probed = JSON.parse(stdout) as {
    streams: { codec_type: string; codec_name: string; width?: number; nb_read_frames: string }[];
  };
  const streams = probed.streams.filter((stream) => stream.codec_type !== 'data');
  t.same(streams.map((stream) => stream.codec_name).sort(), ['aac', 'h264']);
  t.ok(
    streams.every((stream) => Number(stream.nb_read_frames) > 10),
    'audio and video are decoded',
  );
  t.equal(streams.find((stream) => stream.codec_name === 'h264')?.width, 320);

  for (const headers of [
    { origin: 'https://page.example' },
    { origin: 'null' },
    { host: 'rebound.example' },
    { host: `127.0.0.1.example:${server.httpFlvPort}` },
  ]) {
    const [refused] = (await once(get(url, { headers }), 'response')) as [IncomingMessage];
    refused.resume();
    t.equal(refused.statusCode, 403, `web pages must not play: ${JSON.stringify(headers)}`);
    t.equal(refused.headers['access-control-allow-origin'], undefined);
  }
  const response = await fetch(url);
  const reader = response.body!.getReader();
  t.equal(
    Buffer.from((await reader.read()).value!)
      .subarray(0, 3)
      .toString(),
    'FLV',
  );
  await reader.cancel();

  t.same(await readdir(empty), [], 'nothing was written to the working directory');
});

t.test('a second publisher of a name is refused with an error, and the first continues', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  const create = createRtmpPusher();
  for (const name of ['rtmp_stream1', 'my.stream?key=1']) {
    const target = pushTarget(`${server.rtmpUrl}/${name}`);
    const first = create(target);
    await ready(first);
    first.once('died', (error) => t.fail('the first publisher was disconnected', { error }));
    const second = create(target);
    t.match(await death(second), { code: 'DESTINATION_REFUSED', message: /BadName: Already publishing/ });
    await second.close();
    first.removeAllListeners();
    await first.close();
    const third = create(target);
    await t.resolves(ready(third), 'the name is free again');
    await third.close();
  }
});

t.test(
  'audio and video stay in sync when a name is published again, even if one track had ended earlier',
  async (t) => {
    const server = await start();
    t.teardown(() => server.close());
    const create = createRtmpPusher();
    const tags = await createFlvTags({ seconds: 3 });
    const publish = async (sent: readonly FlvTag[]): Promise<void> => {
      const pusher = create(pushTarget(`${server.rtmpUrl}/again`));
      await ready(pusher);
      await writeTags(pusher, sent, 2);
      await pusher.close();
    };
    const media = new FlvReader();
    const seen: FlvTag[] = [];
    const watching = get(`http://127.0.0.1:${server.httpFlvPort}/live/again.flv`, (response) =>
      response.on('data', (chunk: Buffer) => seen.push(...media.push(chunk))),
    );
    watching.on('error', () => {});
    t.teardown(() => watching.destroy());
    await publish(tags.filter(({ type, timestamp }) => type !== TAG_VIDEO || timestamp < 500));
    const before = seen.length;
    await publish(tags);
    const latest = (type: number): number => seen.findLast((tag) => tag.type === type)?.timestamp ?? 0;
    await waitFor('the sent tags', () => seen.length - before >= tags.length - 1 && latest(TAG_VIDEO) >= 3000);
    const apart = latest(TAG_AUDIO) - latest(TAG_VIDEO);
    t.ok(Math.abs(apart) < 200, `${apart} ms apart`);
  },
);

t.test('applications and streams with any names', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  const base = `http://127.0.0.1:${server.httpFlvPort}`;
  const root = server.rtmpUrl.replace(/live$/, '');
  const codecs = async (url: string, ...options: string[]): Promise<string[]> => {
    const { stdout } = await run(
      'ffprobe',
      ['-v', 'error', ...options, '-of', 'csv=p=0', '-show_entries', 'stream=codec_name', url],
      { timeout: 60_000 },
    );
    return stdout
      .trim()
      .split(/\s+/)
      .filter((codec) => codec !== 'unknown')
      .sort();
  };
  const cases = [
    ['live/KEY', 'mine', '/live/KEY/mine.flv'],
    ['live?token=a&b=c', 'mine', '/live/mine.flv'],
    ['live', 'my.first stream', '/live/my.first%20stream.flv'],
    ['live', 'Übertragung?key=1', '/live/%C3%9Cbertragung.flv?x=1'],
  ] as const;
  await Promise.all(
    cases.map(async ([app, name, playback]) => {
      const push = pushTestFrame(`${root}${app}/${name}`, '-rtmp_app', app, '-rtmp_playpath', name);
      t.teardown(() => kill(push));
      t.same(await codecs(base + playback), ['aac', 'h264'], playback);
      t.equal(push.exitCode, null, 'the push continues');
    }),
  );
  t.same(
    await codecs(`${root}live/KEY/mine`, '-rtmp_app', 'live/KEY', '-rtmp_playpath', 'mine'),
    ['aac', 'h264'],
    'the same names when played by RTMP',
  );
  const odd = await fetch(`${base}/live/%E0%A4%A.flv`).then(({ status, body }) => body?.cancel().then(() => status));
  t.equal(odd, 200, 'a name that cannot be decoded is used as it is');
});

t.test('only loopback, only playing', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  for (const port of [server.rtmpPort, server.httpFlvPort]) {
    const found = await listeners(port);
    t.equal(found.length, 1);
    t.match(found[0], /^0100007F:/, '127.0.0.1');
  }
  const base = `http://127.0.0.1:${server.httpFlvPort}`;
  for (const path of ['/admin/', '/api/v1/streams', '/api/v1/config', '/'])
    t.equal((await fetch(base + path)).status, 404, path);
  t.equal((await fetch(`${base}/live/x.flv`, { method: 'POST', body: 'FLV' })).status, 405, 'no publishing by HTTP');
  t.equal((await fetch(`${base}/live/x.flv`, { method: 'OPTIONS' })).status, 405, 'no CORS preflight');
  const socket = new WebSocket(`${base.replace('http', 'ws')}/live/x`, 'publisher');
  await new Promise((resolve) => {
    socket.onerror = resolve;
  });
  t.equal(socket.readyState, WebSocket.CLOSED, 'no publishing by WebSocket');
});

t.test('pages of other origins play nothing', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  const ask = (headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      get(`http://127.0.0.1:${server.httpFlvPort}/live/x.flv`, { headers, agent: false }, (response) => {
        resolve(response.statusCode!);
        response.destroy();
      }).on('error', reject);
    });
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { host: 'evil.example' },
  ] as Record<string, string>[])
    t.equal(await ask(headers), 403, JSON.stringify(headers));
  for (const headers of [{}, { 'sec-fetch-site': 'none' }, { 'sec-fetch-site': 'same-origin' }] as Record<
    string,
    string
  >[])
    t.equal(await ask(headers), 200, JSON.stringify(headers));
});

t.test('a client that causes an exception ends, and the process goes on', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  const { pid } = server;
  // The library serves it, refuses the name, and knows no stream when the connection closes.
  for (const path of ['/live/a%20b.FLV', '/live/%20.Flv', '/l%C3%A4ve/x.FLV'])
    await fetch(`http://127.0.0.1:${server.httpFlvPort}${path}`, { headers: { connection: 'close' } })
      .then(({ body }) => body?.cancel())
      .catch(() => undefined);
  // A handshake, then commands whose bytes are not AMF0.
  for (const nonsense of [Buffer.alloc(4000, 0xff), Buffer.from('030000000000041400000000ff020001', 'hex')]) {
    const socket = connect(server.rtmpPort, '127.0.0.1').on('error', () => undefined);
    socket.resume().write(Buffer.concat([Buffer.of(3), Buffer.alloc(2 * 1536), nonsense]));
    await new Promise<void>((resolve) => socket.end(resolve));
  }
  t.equal((await fetch(`http://127.0.0.1:${server.httpFlvPort}/none`)).status, 404);
  t.ok(await accepts(server.rtmpPort));
  t.equal(server.pid, pid);
});

t.test('a port that is in use', async (t) => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  t.teardown(() => blocker.close());
  const taken = (blocker.address() as AddressInfo).port;
  const free = await freePort();
  const refused = (rtmpPort: number, httpFlvPort: number): Promise<GatewayError> =>
    EmbeddedRtmpServer.create({ rtmpPort, httpFlvPort, logger: silentLogger }).then(
      () => t.fail('started') as never,
      (error: GatewayError) => error,
    );
  const rtmp = await refused(taken, free);
  t.equal(rtmp.code, 'SETTINGS_INVALID');
  t.match(rtmp.message, `embedded_rtmp_port: port ${taken} on 127.0.0.1 is already in use`);
  t.match(rtmp.message, 'embedded_rtmp_server=false');
  t.match((await refused(free, taken)).message, `embedded_http_flv_port: port ${taken}`);
  t.notOk(await accepts(free), 'the other listener is closed');
});

t.test('the process is restarted after a death, and ended by close()', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  const first = server.pid!;
  const restarted = once(server, 'restarted');
  process.kill(first, 'SIGKILL');
  await once(server, 'died');
  t.equal(server.pid, undefined);
  await restarted;
  t.not(server.pid, first);
  t.ok(await accepts(server.rtmpPort));

  const second = server.pid!;
  process.kill(second, 'SIGINT');
  process.kill(second, 'SIGTERM');
  await Promise.all([server.close(), server.close()]);
  t.notOk(existsSync(`/proc/${second}`), 'close() has awaited the exit');
  t.notOk(await accepts(server.rtmpPort));
  await server.close();
});

t.test('close() before a restart prevents the restart', async (t) => {
  const server = await start();
  process.kill(server.pid!, 'SIGKILL');
  await once(server, 'died');
  await server.close();
  t.notOk(await accepts(server.rtmpPort));
});

t.test('the process ends when its parent is killed', async (t) => {
  const [rtmpPort, httpFlvPort] = [await freePort(), await freePort()];
  const script = `
    import { EmbeddedRtmpServer } from ${JSON.stringify(new URL('../../src/embedded/embedded-rtmp-server.ts', import.meta.url).href)};
    import { silentLogger } from ${JSON.stringify(new URL('../../src/observe/logger.ts', import.meta.url).href)};
    const server = await EmbeddedRtmpServer.create({ rtmpPort: ${rtmpPort}, httpFlvPort: ${httpFlvPort}, logger: silentLogger });
    console.log(server.pid);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  t.ok(existsSync(`/proc/${pid}`));
  await kill(parent);
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 20));
  t.notOk(await accepts(rtmpPort));
});
