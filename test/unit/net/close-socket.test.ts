import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { closeWebSocket, cutReason } from '../../../src/net/close-socket.ts';

t.test('a reason is cut to 123 bytes between characters', async (t) => {
  for (const character of ['a', 'é', '統', '🎥', '"', '\u0000'])
    for (let length = 0; length < 140; length++) {
      const reason = `x${character.repeat(length)}`;
      const cut = cutReason(reason);
      t.ok(reason.startsWith(cut) && Buffer.byteLength(cut) <= 123, `${character} × ${length}`);
      if (Buffer.byteLength(reason) <= 123) t.equal(cut, reason);
      else t.ok(Buffer.byteLength(cut) > 119, 'no more than one character is lost');
    }
  t.equal(cutReason(''), '');
  t.ok(Buffer.byteLength(cutReason('\ud800'.repeat(200))) <= 123, 'half a surrogate pair');
});

t.test('no code and no reason makes a close throw', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const code of [0, 999, 1000, 1004, 1005, 1006, 1008, 1015, 2999, 3000, 4999, 5000, Number.NaN]) {
    const client = new WebSocket(`ws://127.0.0.1:${port}`);
    const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'open')]);
    closeWebSocket(socket as WebSocket, code, '統'.repeat(100));
    const [got, reason] = await once(client, 'close');
    t.ok([1000, 1008, 3000, 4999].includes(got as number), `${code}: ${got}`);
    t.equal(String(reason), '統'.repeat(41));
  }
});
