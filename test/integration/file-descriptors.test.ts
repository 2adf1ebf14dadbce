import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';

const MAIN = fileURLToPath(new URL('../helpers/without-descriptors-main.ts', import.meta.url));
/** What Node itself has open, and enough for two child processes. */
const LIMIT = 80;

t.test('without file descriptors encoding and connecting fail with a clear reason', async (t) => {
  const server = createServer((socket) => void socket.resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  // Like cat, it ends at once without input.
  const program = process.env['OPUS_TO_AAC_BIN'] ?? '/bin/cat';
  const { stdout } = await promisify(execFile)('/bin/sh', [
    '-c',
    `ulimit -n ${LIMIT} && exec "$0" "$@"`,
    process.execPath,
    MAIN,
    program,
    `${(server.address() as AddressInfo).port}`,
  ]);
  const { before, without, few, after } = JSON.parse(stdout) as Record<
    'before' | 'without' | 'after',
    { shared: boolean; ffmpeg: string; server: string; sound: string }
  > & { few: string };
  t.strictSame(before, { shared: true, ffmpeg: 'started', server: 'connected', sound: 'encoded' });
  for (const reason of [without.ffmpeg, without.server, without.sound, few])
    t.match(reason, /no file descriptors left.*ulimit -n/, 'the reason and the remedy');
  t.match(without.sound, /^LIMIT_REACHED: /);
  t.match(few, /^ENCODER_FAILED: /, 'it is not the fault of the file');
  t.notOk(without.shared, 'an encoder of several streams is not started either');
  t.strictSame(after, before, 'as soon as descriptors are available again');
});
