import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t from 'tap';
import { openTransport } from '../../../src/rtmp/transport.ts';
import { waitFor } from '../../helpers/wait.ts';

const QUICK = { tcp: 300, tls: 300 };
const PATIENT = { tcp: 10_000, tls: 10_000 };
const never = new AbortController().signal;

const server = createServer((socket) => void socket.on('error', () => {}));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
t.teardown(() => server.close());
const { port } = server.address() as AddressInfo;

const open = (addresses: readonly string[], timeouts = PATIENT, signal = never): Promise<Socket> =>
  openTransport({ host: 'rtmp.example.com', addresses, port }, timeouts, signal);

/** An address with a listening socket whose backlog is full, so that the kernel does not answer. */
async function silentAddress(address: string): Promise<{ address: string; close(): void }> {
  const program = `const server = require('net').createServer().listen({ port: ${port}, host: '${address}', backlog: 1 }, () => {
    require('fs').writeSync(1, 'listening');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const guests = Array.from({ length: 4 }, () => connect(port, address).on('error', () => {}));
  await Promise.all(guests.slice(0, 2).map((guest) => once(guest, 'connect')));
  return {
    address,
    close: () => {
      for (const guest of guests) guest.destroy();
      child.kill('SIGKILL');
    },
  };
}

t.test('after a refusal the next address is tried at once', async (t) => {
  const socket = await open(['127.0.0.2', '127.0.0.3', '127.0.0.1'], PATIENT);
  t.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
});

t.test('an address that does not answer is given up after its share of the time', async (t) => {
  const silent = await silentAddress('127.0.0.4');
  t.teardown(() => silent.close());
  const sockets = (): number => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCPSocket')).length;
  const before = sockets();
  const started = performance.now();
  const socket = await open([silent.address, '127.0.0.1'], { ...PATIENT, tcp: 4000 });
  t.equal(socket.remoteAddress, '127.0.0.1');
  const elapsed = performance.now() - started;
  // With more than its half of the time, none would be left for the other.
  t.ok(elapsed >= 1990, `${elapsed} ms`);
  socket.destroy();

  await t.rejects(open([silent.address], QUICK), {
    code: 'timeout',
    message: 'The server did not accept a TCP connection within 0.3 s',
  });
  const abort = new AbortController();
  const attempt = open([silent.address, '127.0.0.1'], PATIENT, abort.signal);
  abort.abort();
  await t.rejects(attempt, { code: 'aborted' }, 'no further address once it is given up');
  await t.rejects(open([silent.address], PATIENT, abort.signal), { code: 'aborted' }, 'nor a first one');
  await waitFor('all of them to be let go', () => sockets() <= before, { every: 1 });
});

t.test('the last failure is reported when no address works', async (t) => {
  await t.rejects(open(['127.0.0.2', '127.0.0.3']), { code: 'unreachable', message: /no server listens on that port/ });
});
