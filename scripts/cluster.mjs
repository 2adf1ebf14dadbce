// npm run cluster -- [--no-install] [--nodes N]: Redis, N nodes and a manager on this machine, to try a cluster out (docs/cluster.md).
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, setUpOrExit } from './setup.mjs';
import { readInstallOption } from './setup/plan.mjs';

const MAX_NODES = 20;
/** Ports of the manager: those of a gateway that runs alone, so that all examples work. */
const MANAGER = { http: 8081, ws: 8080 };
/** Where the ports of the nodes begin: three for each. */
const FIRST_NODE_PORT = 8101;
/** Milliseconds until a process is killed that does not end by itself. */
const STOP_TIMEOUT_MS = 15_000;

const { install, args } = readInstallOption(process.argv.slice(2));
const count = readCount(args);
const { node, env } = await setUpOrExit('cluster', { install });

const folder = mkdtempSync(path.join(os.tmpdir(), 'transponder-cluster-'));
const redisPort = await freePort();
const children = [];
let stopping = false;

const redis = run('redis', 'redis-server', [
  ...['--port', String(redisPort), '--bind', '127.0.0.1'],
  ...['--save', '', '--appendonly', 'no', '--dir', folder, '--loglevel', 'warning'],
]);
const shared = {
  ...env,
  CLUSTER_REDIS_URL: `redis://127.0.0.1:${redisPort}`,
  CLUSTER_PREFIX: 'wt:',
  STATE_KEY: randomBytes(32).toString('base64'),
  STATE_DIR: '',
  LOG_LEVEL: process.env.LOG_LEVEL || 'warn',
  // Without the start message of a gateway that runs alone.
  LOG_FORMAT: 'json',
};
const nodes = Array.from({ length: count }, (_, index) => {
  const port = FIRST_NODE_PORT + 3 * index;
  return run(`node-${index + 1}`, node, [path.join(ROOT, 'src', 'main.ts')], {
    ...shared,
    ROLE: 'node',
    NODE_ID: `node-${index + 1}`,
    HTTP_PORT: String(port),
    WS_PORT: String(port + 1),
    RTC_PORT: String(port + 2),
    RTC_WORKERS: '1',
    // The first node brings the RTMP server to push to.
    EMBEDDED_RTMP_SERVER: String(index === 0),
    DESTINATION_ALLOW_NETWORKS: '127.0.0.0/8',
  });
});
const manager = run('manager', node, [path.join(ROOT, 'src', 'main.ts')], {
  ...shared,
  ROLE: 'manager',
  HTTP_PORT: String(MANAGER.http),
  WS_PORT: String(MANAGER.ws),
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop(0));

await waitForNodes();
const list = nodes.map(
  (child, index) => `  node-${index + 1}   http://127.0.0.1:${FIRST_NODE_PORT + 3 * index}/   process ${child.pid}`,
);
process.stdout.write(`
A cluster of ${count} nodes runs. Open http://127.0.0.1:${MANAGER.http}/ (the manager), publish, and push to rtmp://127.0.0.1:1935/live.

  manager  http://127.0.0.1:${MANAGER.http}/   process ${manager.pid}
${list.join('\n')}
  Redis    port ${redisPort}   process ${redis.pid}

  nodes:   http://127.0.0.1:${MANAGER.http}/console/nodes.html, or curl http://127.0.0.1:${MANAGER.http}/api/v1/nodes
  drain:   curl -X POST http://127.0.0.1:${MANAGER.http}/api/v1/nodes/node-1/drain
  a fault: kill -9 the process of a node: what it carried goes on at another one
  the end: Ctrl-C

`);

function readCount(given) {
  try {
    const { values } = parseArgs({ args: given, options: { nodes: { type: 'string', default: '3' } } });
    const number = Number(values.nodes);
    if (Number.isInteger(number) && number >= 1 && number <= MAX_NODES) return number;
  } catch {
    // The usage says it.
  }
  console.error(`Usage: npm run cluster -- [--no-install] [--nodes N]   (1 to ${MAX_NODES} nodes; default: 3)`);
  process.exit(2);
}

/** Runs a part; its output is prefixed with its name. The end of Redis or of the manager ends everything. */
function run(name, command, commandArgs, environment = env) {
  const child = spawn(command, commandArgs, {
    env: environment,
    cwd: ROOT,
    stdio: ['ignore', name === 'redis' ? 'ignore' : 'pipe', 'pipe'],
    detached: true,
  });
  children.push(child);
  // Redis speaks of its start and of settings of the machine.
  for (const stream of name === 'redis' ? [child.stderr] : [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      for (const line of text.split('\n')) if (line.trim() !== '') process.stdout.write(`${name.padEnd(8)} ${line}\n`);
    });
  }
  child.once('error', (error) => {
    console.error(`${name}: ${error.message}`);
    void stop(1);
  });
  child.once('exit', (code, signal) => {
    if (stopping) return;
    console.error(`${name} has ended (${signal ?? `code ${code}`})`);
    const areNodesLeft = nodesLeft();
    if (!name.startsWith('node-') || !areNodesLeft) void stop(1);
  });
  return child;
}

function nodesLeft() {
  return children.slice(1).some((child) => child !== manager && child.exitCode === null && child.signalCode === null);
}

async function waitForNodes() {
  for (;;) {
    if (stopping) return;
    const known = await fetch(`http://127.0.0.1:${MANAGER.http}/health`)
      .then((answer) => answer.json())
      .catch(() => undefined);
    if (known?.nodes === count) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function stop(code) {
  if (stopping) return;
  stopping = true;
  // Redis last: the nodes leave the cluster.
  for (const child of children.slice(1)) child.kill('SIGTERM');
  await Promise.all(children.slice(1).map(ended));
  children[0].kill('SIGTERM');
  await ended(children[0]);
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}

function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return undefined;
  const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  return new Promise((resolve) => child.once('exit', resolve)).finally(() => clearTimeout(impatience));
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
