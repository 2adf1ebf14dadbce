import { once } from 'node:events';
import t from 'tap';
import { WebSocket } from 'ws';
import { startGateway } from '../helpers/gateway.ts';
import { waitFor } from '../helpers/wait.ts';

/** Clients of the WebSocket that take up memory. */

const CLIENTS = 60;
/** Bytes that each of them sends: more than the socket buffers of a connection hold. */
const SENT = 8_000_000;
/** The gateway's own fluctuation, and a few kilobytes for each socket. */
const MAX_GROWTH = 20 * 1024 * 1024;
/** While clients that are cut off may still read why: a megabyte and a half for each. */
const MAX_BRIEF_GROWTH = CLIENTS * 1.5 * 1024 * 1024;

const gateway = await startGateway({}, { collectable: true });
t.teardown(() => gateway.stop());

const used = async (): Promise<number> => {
  const { heapUsed, external } = await gateway.collectGarbage();
  return heapUsed + external;
};

/** A client that reads nothing after the handshake. */
async function openDeaf(): Promise<WebSocket> {
  const socket = new WebSocket(gateway.wsUrl);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.pause();
  return socket;
}

/** One answered ping: everything that was sent before has been handled. */
async function ping(): Promise<void> {
  const socket = new WebSocket(gateway.wsUrl);
  await once(socket, 'open');
  socket.send('{"message":"ping","data":[]}');
  await once(socket, 'message');
  socket.terminate();
}

for (const kilobytes of [60, 400]) {
  t.test(`clients that send large connections of ${kilobytes} kB and never read`, async (t) => {
    const before = await used();
    const sockets = await Promise.all(Array.from({ length: CLIENTS }, openDeaf));
    const text = JSON.stringify({ message: 'connection', data: [{ custom: 'x'.repeat(kilobytes * 1000) }] });
    await Promise.all(
      sockets.map(async (socket) => {
        for (let sent = 0; sent < SENT && socket.readyState === WebSocket.OPEN; sent += text.length)
          await new Promise<void>((resolve) => socket.send(text, () => resolve()));
      }),
    );
    await waitFor('an answer to a client that reads', async () => (await ping(), true));
    const growth = (await used()) - before;
    t.comment(`${(growth / 1024 / 1024).toFixed(1)} MB more for ${CLIENTS} clients`);
    t.ok(growth < MAX_BRIEF_GROWTH, `${growth} bytes`);
    await waitFor('the memory of clients that were cut off', async () => (await used()) - before < MAX_GROWTH);
    for (const socket of sockets) socket.terminate();
  });
}
