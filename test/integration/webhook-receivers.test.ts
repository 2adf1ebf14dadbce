import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { createSender } from '../../src/hooks/webhook-sender.ts';
import { Secret } from '../../src/net/secret.ts';
import { freePort } from '../helpers/server-process.ts';
import { waitFor } from '../helpers/wait.ts';

/** The receivers of docs/hooks.md, and the one of `npm run webhooks`. */

const ROOT = join(import.meta.dirname, '../..');
const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
const document = readFileSync(join(ROOT, 'docs/hooks.md'), 'utf8');
const PYTHON = 'python3';
const hasPython = spawnSync(PYTHON, ['--version']).status === 0;

const codeOf = (language: string): string => new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(document)![1]!;

async function run(t: Test, command: string, args: string[], port: number, ready: RegExp): Promise<() => string> {
  const env = { ...process.env, WEBHOOK_SECRET: SECRET, PORT: String(port) };
  const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await waitFor('the receiver to listen', () => ready.test(output));
  return () => output;
}

const sender = (port: number, secret: string) =>
  createSender({
    url: new URL(`http://127.0.0.1:${port}/`),
    secret: new Secret(secret),
    allowNetworks: [],
    version: '1',
    now: Date.now,
  });

async function receives(t: Test, port: number, output: () => string, repeats: number): Promise<void> {
  const { signal } = new AbortController();
  const body = JSON.stringify({
    type: 'stream.stalled',
    timestamp: new Date().toISOString(),
    data: { stream: 'Büro' },
  });
  const delivery = { key: '1', id: 'msg_1', lane: 'Büro', body, attempts: 0 };
  t.strictSame(await sender(port, SECRET)(delivery, signal), { result: 'delivered' });
  t.strictSame(await sender(port, SECRET)(delivery, signal), { result: 'delivered' }, 'a second time');
  const otherSecret = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
  t.strictSame(await sender(port, otherSecret)(delivery, signal), { result: 'failed', reason: 'status 401' });
  const events = (): number => output().split('stream.stalled').length - 1;
  await waitFor('the events', () => events() >= repeats);
  t.equal(events(), repeats);
}

t.test('the receiver in Node', async (t) => {
  const port = await freePort();
  // Below the project, so that the package is found.
  const file = join(t.testdir({ 'receiver.mjs': codeOf('js') }), 'receiver.mjs');
  const output = await run(t, process.execPath, [file], port, /^listening$/m);
  await receives(t, port, output, 1);
});

t.test(
  'the receiver in Python',
  { skip: hasPython ? false : 'Python is not installed: apt-get install python3' },
  async (t) => {
    const port = await freePort();
    const file = join(t.testdir({ 'receiver.py': codeOf('python') }), 'receiver.py');
    const output = await run(t, PYTHON, [file], port, /^listening$/m);
    await receives(t, port, output, 1);
  },
);

t.test('npm run webhooks -- listen', async (t) => {
  const port = await freePort();
  const script = join(ROOT, 'scripts/webhooks.mjs');
  const output = await run(t, process.execPath, [script, 'listen', String(port)], port, /^webhook_urls=/m);
  await receives(t, port, output, 2);
  // The output and the errors of a process arrive over two pipes.
  await waitFor('the refusal', () => /^refused POST \/: No matching signature found$/m.test(output()));
  t.notMatch(output(), SECRET);
  t.match(spawnSync(process.execPath, [script, 'listen']), { status: 2 }, 'without a port');
});
