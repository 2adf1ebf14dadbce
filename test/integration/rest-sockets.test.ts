import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { createHttpApp } from '../helpers/http-app.ts';
import { waitFor } from '../helpers/wait.ts';

const { app, control } = await createHttpApp();
const { http: port } = await app.listen();
t.teardown(() => app.close());
t.beforeEach(() => control.views.clear());

/** Sends raw bytes and returns the answer when the server has ended the connection. */
async function exchange(bytes: string): Promise<{ head: string; body: string }> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes);
  const answer = await text(socket);
  const [head = '', body = ''] = answer.split(/\r\n\r\n([^]*)/);
  return { head, body };
}
const lines = (...all: string[]): string => all.join('\r\n');

t.test('POST with Content-Length 0 and without a type, as the official client sends it', async (t) => {
  await control.start({ streamName: 'cam', rtmpUrl: 'rtmp://h/live' });
  const { head, body } = await exchange(
    lines('POST /rest-api/push/find_all HTTP/1.1', 'Host: localhost', 'Content-Length: 0', 'Connection: close', '', ''),
  );
  t.match(head, /^HTTP\/1\.1 200 OK/);
  t.match(JSON.parse(body), [{ sourceStreamName: 'cam' }]);
});

t.test('a check ends when its client leaves', async (t) => {
  let aborted = false;
  control.checking = (signal) =>
    new Promise((_, reject) =>
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(signal.reason as Error);
      }),
    );
  t.teardown(() => (control.checking = async () => undefined));
  const payload = JSON.stringify({ streamName: 'cam', rtmpUrl: 'rtmp://h/live' });
  const socket = connect(port, '127.0.0.1');
  socket.write(
    lines(
      'POST /rest-api/push/check HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/json',
      `Content-Length: ${payload.length}`,
      '',
      payload,
    ),
  );
  await waitFor('the check', () => control.calls.some(([name]) => name === 'check'));
  t.notOk(aborted);
  socket.destroy();
  await waitFor('its end', () => aborted);
});

t.test('a void answer is 200 without content', async (t) => {
  const { mediaSessionId } = await control.start({ streamName: 'cam', rtmpUrl: 'rtmp://h/live' });
  const payload = JSON.stringify({ mediaSessionId });
  const { head, body } = await exchange(
    lines(
      'POST /rest-api/push/mute HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/json;charset=UTF-8',
      `Content-Length: ${payload.length}`,
      'Connection: close',
      '',
      payload,
    ),
  );
  t.match(head, /^HTTP\/1\.1 200 OK/);
  t.match(head, /content-length: 0/i);
  t.equal(body, '');
});

t.test('a client that disconnects is reported to the push that it starts', async (t) => {
  const { signal, aborted } = await new Promise<{ signal: AbortSignal; aborted: Promise<unknown> }>((resolve) => {
    const start = control.start.bind(control);
    control.start = async (request, origin) => {
      control.start = start;
      const given = origin!.signal!;
      const gone = once(given, 'abort');
      resolve({ signal: given, aborted: gone });
      await gone;
      return start(request, origin);
    };
    const payload = '{"streamName":"cam","rtmpUrl":"rtmp://h/live"}';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        lines(
          'POST /rest-api/push/startup HTTP/1.1',
          'Host: localhost',
          'Content-Type: application/json',
          `Content-Length: ${payload.length}`,
          '',
          payload,
        ),
      );
      void waitFor('the request', () => control.start === start).then(() => setTimeout(() => socket.destroy(), 50));
    });
  });
  t.equal(signal.aborted, false, 'not when the body has been read');
  await aborted;
  t.pass('when the connection is closed');
});

t.test('a chunked body', async (t) => {
  const { head } = await exchange(
    lines(
      'POST /rest-api/push/find HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
      'Connection: close',
      '',
      '1',
      '{',
      '1',
      '}',
      '0',
      '',
      '',
    ),
  );
  t.match(head, /^HTTP\/1\.1 404/);
});

t.test('bytes that are not HTTP get the usual error body, and the gateway keeps running', async (t) => {
  for (const bytes of [
    'nonsense\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000',
    lines('GET / HTTP/1.1', 'Host: a', 'Content-Length: -1', '', ''),
    lines('POST /rest-api/push/find HTTP/1.1', 'Host: a', 'Content-Length: 1', 'Transfer-Encoding: chunked', '', 'x'),
  ]) {
    const { head, body } = await exchange(bytes);
    t.match(head, /^HTTP\/1\.1 400 Bad Request/, JSON.stringify(bytes));
    t.match(JSON.parse(body), { status: 400, error: 'Bad Request', exception: 'INVALID_REQUEST', path: '' });
  }
  t.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
});

t.test('a client that sends no HTTP and stays connected is disconnected', async (t) => {
  const connections = (): Promise<number> =>
    new Promise((resolve) => app.http.server.getConnections((_error, count) => resolve(count)));
  const before = await connections();
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
  t.teardown(() => socket.destroy());
  let answer = '';
  socket.on('data', (data) => (answer += String(data)));
  socket.write('nonsense\r\n\r\n');
  await once(socket, 'end');
  t.match(answer, /^HTTP\/1\.1 400 Bad Request/);
  await waitFor('the socket to close', async () => (await connections()) <= before);
});

t.test('a client that disconnects within its body does no harm', async (t) => {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    lines(
      'POST /rest-api/push/startup HTTP/1.1',
      'Host: localhost',
      'Content-Type: application/json',
      'Content-Length: 1000',
      '',
      '{"streamName":',
    ),
  );
  socket.resetAndDestroy();
  await once(socket, 'close');
  t.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
});

t.test('close ends connections that a client keeps open', async (t) => {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.resume();
  const closed = once(socket, 'close');
  await Promise.all([app.close(), closed]);
  t.pass('closed');
});
