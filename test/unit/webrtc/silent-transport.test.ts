import t from 'tap';
import { isSilent } from '../../../src/webrtc/silent-transport.ts';

/** @param received bytes until a time, in milliseconds */
async function ask(received: (ms: number) => number): Promise<{ silent: boolean; afterMs: number }> {
  let nowMs = 0;
  const transport = { getStats: async () => [{ bytesReceived: received(nowMs) }] };
  const silent = await isSilent(transport, async (ms) => (nowMs += ms));
  return { silent, afterMs: nowMs };
}

t.test('a transport over which nothing arrives is silent after a time', async (t) => {
  t.match(await ask(() => 5000), { silent: true, afterMs: 1500 });
  t.match(await ask((ms) => ms), { silent: false, afterMs: 150 }, 'media');
  t.match(await ask((ms) => Math.floor(ms / 1000)), { silent: false, afterMs: 1050 }, 'one frame in a second');
});

t.test('one that closes meanwhile is silent', async (t) => {
  t.equal(await isSilent({ getStats: async () => Promise.reject(new Error('closed')) }), true);
});
