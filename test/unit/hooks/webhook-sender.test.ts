import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import type { Test } from 'tap';
import { createSender, type SenderOptions, type SendResult } from '../../../src/hooks/webhook-sender.ts';
import { Secret } from '../../../src/net/secret.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const delivery = {
  key: '1',
  id: 'msg_1',
  lane: 'x',
  body: '{"type":"stream.lost","data":{"stream":"ü"}}',
  attempts: 0,
};

async function receiver(t: Test, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const send = (url: string, options: Partial<SenderOptions> = {}): Promise<SendResult> =>
  createSender({
    url: new URL(url),
    secret: new Secret(SECRET),
    allowNetworks: [],
    version: '1',
    now: Date.now,
    ...options,
  })(delivery, new AbortController().signal);

t.test('a delivery is signed by the Standard Webhooks specification', async (t) => {
  let headers: IncomingHttpHeaders = {};
  let body = '';
  const port = await receiver(t, (request, response) => {
    headers = request.headers;
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => response.writeHead(204).end());
  });
  t.strictSame(await send(`http://127.0.0.1:${port}/hook?token=1`), { result: 'delivered' });
  t.equal(headers['content-type'], 'application/json');
  t.equal(headers['webhook-id'], 'msg_1');
  t.strictSame(new Webhook(SECRET).verify(body, headers as Record<string, string>), JSON.parse(delivery.body));
  t.throws(() => new Webhook(SECRET).verify(`${body} `, headers as Record<string, string>));
});

t.test('answers', async (t) => {
  let followed = 0;
  const answers: Record<string, [number, Record<string, string>]> = {
    '/200': [200, {}],
    '/410': [410, {}],
    '/500': [500, { 'retry-after': '9' }],
    '/429': [429, { 'retry-after': '120' }],
    '/503': [503, { 'retry-after': '60' }],
    '/302': [302, { location: '/followed' }],
    '/307': [307, { location: '/followed' }],
  };
  const port = await receiver(t, (request, response) => {
    if (request.url === '/followed') followed++;
    const [status, headers] = answers[request.url!] ?? [200, {}];
    response.writeHead(status, headers).end();
  });
  const result = (path: string): Promise<SendResult> => send(`http://127.0.0.1:${port}${path}`);
  t.strictSame(await result('/200'), { result: 'delivered' });
  t.strictSame(await result('/410'), { result: 'gone' });
  t.strictSame(await result('/500'), { result: 'failed', reason: 'status 500' });
  t.strictSame(await result('/429'), { result: 'failed', reason: 'status 429', retryAfterMs: 120_000 });
  t.strictSame(await result('/503'), { result: 'failed', reason: 'status 503', retryAfterMs: 60_000 });
  for (const path of ['/302', '/307'])
    t.strictSame(await result(path), { result: 'failed', reason: `status ${path.slice(1)}` });
  t.equal(followed, 0, 'redirects are not followed');
});

t.test('an endless answer and one that never comes', async (t) => {
  const port = await receiver(t, (request, response) => {
    if (request.url === '/silent') return;
    response.writeHead(200);
    const write = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', write);
    response.on('close', () => closed());
    write();
  });
  let closed = (): void => {};
  const cutOff = new Promise<void>((resolve) => (closed = resolve));
  t.strictSame(await send(`http://127.0.0.1:${port}/endless`), { result: 'delivered' });
  await cutOff;
  t.strictSame(await send(`http://127.0.0.1:${port}/silent`, { timeoutMs: 50 }), {
    result: 'failed',
    reason: 'no answer within 50 ms',
  });
});

t.test('private addresses', async (t) => {
  let requests = 0;
  const port = await receiver(t, (_, response) => {
    requests++;
    response.end();
  });
  const lookup = async (): Promise<string[]> => ['127.0.0.1'];
  const refused = {
    result: 'failed',
    reason: 'its address is private or reserved, and destination_allow_networks does not name it',
  };
  t.strictSame(await send(`http://hooks.example:${port}/`, { lookup }), refused, 'a name that leads to this machine');
  for (const host of ['10.0.0.1', '169.254.169.254', '[fd00::1]', '[::ffff:10.0.0.1]', '0x0a000001'])
    t.strictSame(await send(`http://${host}:${port}/`), refused, host);
  t.equal(requests, 0);
  t.strictSame(
    await send(`http://hooks.example:${port}/`, { lookup, allowNetworks: ['127.0.0.0/8'] }),
    { result: 'delivered' },
    'connects to the address that was checked: the name does not exist',
  );
  t.strictSame(await send(`http://localhost:${port}/`), { result: 'delivered' }, 'this machine, named in the settings');
  t.strictSame(await send('http://unknown.example/', { lookup: () => Promise.reject(new Error('unknown')) }), {
    result: 'failed',
    reason: 'its host could not be resolved',
  });
});

t.test('a receiver that is down; the reason does not contain the URL', async (t) => {
  const port = await receiver(t, (request) => request.socket.destroy());
  t.strictSame(await send(`http://127.0.0.1:${port}/secret`), { result: 'failed', reason: 'ECONNRESET' });
  t.strictSame(await send('http://127.0.0.1:1/secret'), { result: 'failed', reason: 'ECONNREFUSED' });
});
