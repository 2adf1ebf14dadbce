import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { findRunningGateway } from '../../../src/runtime/running-gateway.ts';

async function listen(t: Test, answer: string): Promise<number> {
  const server: Server = createServer((_, response) => void response.end(answer));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

t.test('a gateway is known by its /health, whatever its status', async (t) => {
  const health = { status: 'degraded', version: '1.0.0', uptime: 1, workers: {}, streams: 0, transponders: 0 };
  const port = await listen(t, JSON.stringify(health));
  t.equal(await findRunningGateway('127.0.0.1', port), `http://127.0.0.1:${port}`);
  t.equal(await findRunningGateway('0.0.0.0', port), `http://127.0.0.1:${port}`);
});

t.test('other programs are no gateway, nor is a free port', async (t) => {
  for (const answer of ['', 'null', '{"status":"ok"}', '<html></html>', 'x'.repeat(20_000)])
    t.equal(await findRunningGateway('127.0.0.1', await listen(t, answer)), undefined, answer.slice(0, 20));
  t.equal(await findRunningGateway('127.0.0.1', 0), undefined);
  t.equal(await findRunningGateway('127.0.0.1', 1), undefined);
});
