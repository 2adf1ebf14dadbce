import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { createHttpApp } from '../helpers/http-app.ts';
import { startLoopbackServer } from '../helpers/loopback-server.ts';
import { createMedia, MediaPublisher } from '../helpers/media-publisher.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(120_000);

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'scripts/cli.mjs');

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command, with a text for its standard input. */
function run(args: readonly string[], env: Record<string, string> = {}, input = '', cli = CLI): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { env: { ...process.env, ...env } });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => void (output[name] += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, ...output }));
    child.stdin.end(input);
  });
}

t.test('commands ask the gateway, with tables, JSON and exit codes', async (t) => {
  const { app, control, registry } = await createHttpApp({ rest_api_key: 'k3y', listen_ip: '127.0.0.1' });
  t.teardown(() => app.close());
  const url = `http://127.0.0.1:${(await app.listen()).http}`;
  const gateway = { TRANSPONDER_URL: url, TRANSPONDER_KEY: 'k3y' };
  registry.publish('cam', { id: 'p', close() {} });

  t.match(await run(['streams'], gateway), { code: 0, stdout: /^STREAM +STATE[^]*\ncam +live/ });
  t.match(JSON.parse((await run(['streams', '--json'], gateway)).stdout), [{ name: 'cam' }]);
  const key = 'abcd-efgh-ijkl-mnop-wxyz';
  const saved = await run(['destinations', 'add', 'Our YouTube', '--platform', 'youtube'], gateway, `${key}\n`);
  t.match(saved, { code: 0, stdout: /our-youtube +Our YouTube/ });
  t.notMatch(saved.stdout, key);
  t.match(await run(['destinations', 'add', 'Archive', '--to', '-'], gateway, 'rtmp://archive.example/live'), {
    code: 0,
  });
  t.match(await run(['destinations', 'groups', 'add', 'Service', 'our-youtube', 'archive'], gateway), { code: 0 });
  t.match(await run(['destinations', 'change', 'archive', '--name', 'The archive', '--standby'], gateway), {
    code: 0,
    stdout: /archive +The archive/,
  });
  t.match(await run(['destinations', 'change', 'archive', '--name', 'Archive'], gateway), { code: 0 });
  t.match(await run(['destinations', 'groups', 'change', 'service', 'archive'], gateway), {
    code: 0,
    stdout: /Service +archive +-/,
  });
  const both = ['destinations', 'groups', 'change', 'service', 'our-youtube', 'archive', '--on-publish', 'sunday'];
  t.match(await run(both, gateway), { code: 0, stdout: /our-youtube, archive +sunday/ });
  t.match(await run(['destinations', 'change', 'nowhere', '--name', 'x'], gateway), {
    code: 1,
    stderr: /SAVED_DESTINATION_NOT_FOUND/,
  });
  t.match(await run(['push', 'check', 'cam', '--group', 'service'], gateway), { code: 0, stdout: /Our YouTube +ok/ });
  t.match(await run(['push', 'start', 'cam', '--group', 'service'], gateway), { code: 0, stdout: /Archive +started/ });
  t.match(await run(['push'], gateway), { code: 0, stdout: /cam +our-youtube +connecting/ });
  t.match(await run(['push', 'stop', '--stream', 'cam', '--group', 'service'], gateway), { code: 0, stdout: '' });
  t.equal(control.views.size, 0);
  t.match(await run(['push', 'list'], gateway), { code: 0, stdout: 'No pushes.\n' });
  t.match(await run(['health'], gateway), { code: 0, stdout: /^status: ok\n/ });
  t.match(await run(['record', 'list'], gateway), { code: 0, stdout: 'No recordings.\n' });

  t.match(await run(['push', 'stop', 'nothing'], gateway), {
    code: 1,
    stderr: /no transponder.*TRANSPONDER_NOT_FOUND/i,
  });
  t.match(await run(['push', 'start', 'cam'], gateway), { code: 1, stderr: /rtmpUrl is missing/ });
  t.match(await run(['push', 'start']), { code: 2, stderr: /missing required argument/ });
  t.match(await run(['nonsense']), { code: 2 });
  t.match(await run(['push', 'start', 'cam', '--to', 'a', '--group', 'b']), { code: 2, stderr: /Name one of/ });
  t.match(await run(['streams', '--url', 'nonsense']), { code: 2 });
  t.match(await run(['streams', '--url', 'http://127.0.0.1:1']), { code: 3, stderr: /No gateway answers/ });
  t.match(await run(['streams'], { TRANSPONDER_URL: url }), { code: 4, stderr: /TRANSPONDER_KEY/ });
  t.match(await run(['--help']), { code: 0, stdout: /Commands:/ });
  t.match(await run(['token', '--help']), { code: 0, stdout: /--max-duration/ });
});

t.test('calls', async (t) => {
  const asked: unknown[] = [];
  const server = await startLoopbackServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      asked.push([request.url, ...(body ? [JSON.parse(body)] : [])]);
      const call = { callId: 'c1', callee: '0123', status: 'ESTABLISHED', streamName: 'phone', reason: null };
      response.end(request.url?.startsWith('/api/v1/calls') ? JSON.stringify([call]) : '');
    });
  });
  t.teardown(() => server.close());
  const gateway = { TRANSPONDER_URL: server.url, SIP_PASSWORD: 'secret' };
  const account = ['--login', 'ann', '--domain', 'sip.example'];
  const input = 'rtmp://127.0.0.1/live';
  t.match(
    await run(['call', 'start', '0123', '--id', 'c1', '--stream', 'phone', '--to', '-', ...account], gateway, input),
    { code: 0, stdout: 'c1\n' },
  );
  t.match(await run(['call', 'start', '0124', '--video'], gateway), { code: 0, stdout: /^[0-9a-f-]{36}\n$/ });
  t.match(await run(['call'], gateway), { code: 0, stdout: /^ID +CALLEE[^]*\nc1 +0123 +ESTABLISHED +phone/ });
  t.match(await run(['call', 'list', '--ended'], gateway), { code: 0 });
  t.match(await run(['call', 'dtmf', 'c1', '12#'], gateway), { code: 0 });
  t.match(await run(['call', 'stop', 'c1'], gateway), { code: 0, stdout: '' });
  t.match(asked, [
    [
      '/rest-api/call/startup',
      {
        ...{ callId: 'c1', callee: '0123', toStream: 'phone', rtmpUrl: input },
        ...{ sipLogin: 'ann', sipPassword: 'secret', sipDomain: 'sip.example' },
      },
    ],
    ['/rest-api/call/startup', { callee: '0124', hasVideo: true }],
    ['/api/v1/calls'],
    ['/api/v1/calls?ended=true'],
    ['/rest-api/call/send_dtmf', { callId: 'c1', dtmf: '12#' }],
    ['/rest-api/call/terminate', { callId: 'c1' }],
  ]);
});

t.test('completions name the commands', async (t) => {
  const complete = async (line: string): Promise<string> => {
    const { stdout } = await run(['completion', 'bash']);
    const words = line.split(' ');
    const script = `${stdout}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _webrtc_transponder; echo "\${COMPREPLY[@]}"`;
    return (await promisify(execFile)('bash', ['-c', script])).stdout.trim();
  };
  t.equal(await complete('webrtc-transponder he'), 'health');
  t.equal(await complete('webrtc-transponder push st'), 'start stop');
  t.equal(await complete('webrtc-transponder push start --gr'), '--group');
  t.match(await run(['completion', 'fish']), {
    stdout: /__fish_seen_subcommand_from push' -a 'start check list stop'/,
  });
  t.match(await run(['completion', 'tcsh']), { code: 2 });
});

t.test('the packed package starts where it is installed, and pushes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'package-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  await promisify(execFile)('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
  const [tarball] = readdirSync(folder);
  await promisify(execFile)('tar', ['-xzf', tarball!], { cwd: folder });
  // As npm places it: with its dependencies beside it.
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(ROOT, 'node_modules')))
    if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  const installed = join(modules, 'webrtc-transponder');
  cpSync(join(folder, 'package'), installed, { recursive: true });
  const port = await freePort();
  const settings = { 'http.port': port, 'ws.port': 0, rtc_port: await freePort(), listen_ip: '127.0.0.1' };
  const embedded = { embedded_rtmp_port: await freePort(), embedded_http_flv_port: await freePort() };
  const file = join(folder, 'gateway.properties');
  const lines = Object.entries({ ...settings, ...embedded }).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(file, lines.join(''));
  const cli = join(installed, 'scripts/cli.mjs');
  t.match(await run(['config', 'check', '--config', file], {}, '', cli), { code: 0, stdout: /are valid/ });
  const gateway = spawn(process.execPath, [cli, 'start', '--no-install', '--config', file], { cwd: folder });
  const ended = new Promise((resolve) => gateway.once('close', resolve));
  let log = '';
  for (const pipe of [gateway.stdout, gateway.stderr]) pipe.on('data', (text) => void (log += String(text)));
  const url = `http://127.0.0.1:${port}`;
  await waitFor('the gateway', async () => (await fetch(`${url}/health`)).ok, { timeout: 60_000 }).catch(
    (error: Error) => t.fail(`${error.message}\n${log}`),
  );
  t.match(await run(['health', '--url', url], {}, '', cli), { code: 0, stdout: /^status: ok/ });
  t.match(await fetch(url), { status: 200 }, 'the console');

  const media = await createMedia('320x180');
  t.teardown(() => media.remove());
  const publisher = await MediaPublisher.start({ httpUrl: url, stream: 'cam', fps: 30, ...media });
  t.teardown(() => publisher.kill());
  const order = ['push', 'start', 'cam', '--to', `rtmp://127.0.0.1:${embedded.embedded_rtmp_port}/live`];
  t.match(await run([...order, '--url', url], {}, '', cli), { code: 0, stdout: /cam +rtmp:/ });
  await waitFor('the push', async () => {
    const { stdout } = await run(['push', 'list', '--url', url, '--json'], {}, '', cli);
    return (JSON.parse(stdout) as { status: string; bitrate: number }[]).some(
      ({ status, bitrate }) => status === 'pushing' && bitrate > 0,
    );
  });
  t.match(await fetch(`http://127.0.0.1:${port}/console/live/rtmp_cam.flv`), { status: 200 }, 'it has arrived');
  gateway.kill('SIGTERM');
  t.equal(await ended, 0);
});
