import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { parse } from 'yaml';

/** The parts of the image and of compose.yaml that can be tested without a Docker engine. */

const ROOT = join(import.meta.dirname, '../..');
const SCRIPT = join(ROOT, 'scripts/docker/container.sh');

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the script in a folder with this settings file, and with a `node` that only prints its arguments. */
async function container(folder: string, command: string, env: Record<string, string> = {}): Promise<Result> {
  return promisify(execFile)(SCRIPT, [command], {
    cwd: folder,
    env: { PATH: `${folder}:${process.env.PATH}`, ...env },
  }).then(
    (output) => ({ code: 0, ...output }),
    (error: Result) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
  );
}

function folderWith(t: Test, settings: string): string {
  return t.testdir({ config: { 'gateway.properties': settings } });
}

t.test('the start says in its first line why the gateway cannot be reached', async (t) => {
  const folder = folderWith(t, '#rest_api_key=\nlisten_ip=127.0.0.1\n');
  symlinkSync('/bin/echo', join(folder, 'node'));
  const image = { LISTEN_IP: '0.0.0.0' };
  t.match(await container(folder, 'start', image), {
    code: 2,
    stdout: '',
    stderr: /^Set REST_API_KEY=KEY, or ALLOW_ANONYMOUS=true /,
  });
  const started = { code: 0, stdout: 'src/main.ts\n' };
  t.match(await container(folder, 'start', { ...image, REST_API_KEY: 'k' }), { ...started, stderr: '' });
  t.match(await container(folder, 'start', { ...image, ALLOW_ANONYMOUS: 'true' }), { ...started, stderr: '' });
  t.match(await container(folder, 'start'), { ...started, stderr: /^LISTEN_IP is a loopback address/ });
});

t.test('the health check asks the configured address', async (t) => {
  let status = 200;
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(status).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const folder = folderWith(t, `rest_api_key=k\nhttp.port = ${port}\nlisten_ip=127.0.0.1\n`);
  t.match(await container(folder, 'health', { LISTEN_IP: '0.0.0.0' }), { code: 0 }, 'the port of the settings file');
  t.match(await container(folder, 'health', { HTTP_PORT: '1' }), { code: 1 }, 'the environment comes first');
  t.match(await container('/', 'health', { HTTP_PORT: String(port) }), { code: 0 }, 'the port of the environment');
  t.same(asked, ['GET /health/live', 'GET /health/live']);
  status = 503;
  t.match(await container(folder, 'health'), { code: 1 }, 'an error of the gateway');
});

t.test('compose.yaml', async (t) => {
  const { services } = parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8')) as {
    services: Record<string, { image: string; environment: Record<string, string>; env_file: unknown }>;
  };
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  t.equal(services.gateway!.image, `webrtc-transponder:${version}`);
  for (const [name, { image }] of Object.entries(services))
    t.match(image, /:[\w.-]*\d[\w.-]*$/, `the image of ${name} has a tag`);
  t.match(services.gateway, {
    cap_drop: ['ALL'],
    read_only: true,
    tmpfs: ['/tmp'],
    env_file: [{ path: '.env', required: false }],
  });
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  t.match(dockerfile, /^ENV [^]*LISTEN_IP=0\.0\.0\.0/m);
  t.match(dockerfile, /COPY \S+ scripts\/docker\/container\.sh \/usr\/local\/bin\/container\n/);
});
