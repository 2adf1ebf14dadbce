import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { Certificate } from '../../src/net/certificate.ts';
import { ClientSessions } from '../../src/sessions/client-sessions.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { makeCertificate } from '../helpers/certificate.ts';
import { createHttpApp } from '../helpers/http-app.ts';
import { waitFor } from '../helpers/wait.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { openWcsServer } = await import('../../src/signaling/wcs-server.ts');

/** Milliseconds. */
const REQUEST_TIMEOUT = 250;
const BYTE_INTERVAL = 20;
/** Less than the 30 s after which Node looks for slow requests by default. */
const CLOSE_TIMEOUT = 20_000;

/** Sends a byte at a time until the server closes the connection, and returns the answer. */
async function drip(t: Test, socket: Socket, start: string): Promise<string> {
  t.teardown(() => socket.destroy());
  let answer = '';
  const timer = setInterval(() => socket.writable && socket.write('x'), BYTE_INTERVAL);
  // A byte that arrives after the server has closed its side resets the connection.
  socket.on('error', () => undefined);
  socket.on('data', (data) => {
    clearInterval(timer);
    answer += String(data);
  });
  socket.write(start);
  let closed = false;
  socket.once('close', () => {
    clearInterval(timer);
    closed = true;
  });
  await waitFor('the server to close the connection', () => closed, { timeout: CLOSE_TIMEOUT });
  return answer;
}

const BODY_START = 'POST /rest-api/push/startup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
const REQUESTS = {
  'request line': 'GET /',
  headers: 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ',
  body: `${BODY_START}Content-Length: 60000\r\n\r\n{"streamName": "`,
};

t.test('REST and pages close the connection of a request that is sent too slowly', async (t) => {
  const { certificateFile: certFile, keyFile, remove } = await makeCertificate();
  const certificate = new Certificate({ certFile, keyFile, logger: silentLogger });
  const { app } = await createHttpApp({}, { certificate, requestTimeoutMs: REQUEST_TIMEOUT });
  t.teardown(async () => {
    await app.close();
    certificate.close();
    await remove();
  });
  const { http, https } = await app.listen();
  const sockets = [
    () => connect(http, '127.0.0.1'),
    () => connectTls({ port: https!, host: '127.0.0.1', rejectUnauthorized: false }),
  ];
  await Promise.all(
    sockets.flatMap((open) =>
      Object.entries(REQUESTS).map(async ([what, start]) => {
        const answer = await drip(t, open(), start);
        t.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n/, what);
        t.match(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))), { status: 408, exception: 'REQUEST_TIMEOUT' });
      }),
    ),
  );
  t.equal((await fetch(`http://127.0.0.1:${http}/health`)).status, 200);
});

t.test('so does the WebSocket port, and leaves open WebSockets alone', async (t) => {
  const server = await openWcsServer({
    host: '127.0.0.1',
    port: 0,
    requestTimeoutMs: REQUEST_TIMEOUT,
    logger: silentLogger,
    sessions: new ClientSessions(),
    version: '1',
  } as Parameters<typeof openWcsServer>[0]);
  t.teardown(() => server.close());
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/`);
  await once(socket, 'open');

  const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Slow: ';
  await Promise.all(
    [REQUESTS['request line'], REQUESTS.headers, upgrade].map(async (start) =>
      t.match(await drip(t, connect(server.port, '127.0.0.1'), start), /^HTTP\/1\.1 408 /),
    ),
  );
  socket.ping();
  await once(socket, 'pong');
  t.equal(socket.readyState, WebSocket.OPEN);
  socket.close();
  await once(socket, 'close');
});
