import { SignJWT } from 'jose';
import t from 'tap';
import { createHttpApp } from '../../../helpers/http-app.ts';
import { fakePublisher } from '../../../helpers/fake-publisher.ts';

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const { app, http, registry } = await createHttpApp({ jwt_secret: SECRET });
t.teardown(() => app.close());
const name = 'camera 1/ä';
registry.reserve(name, undefined).publish(fakePublisher({}));
const token = (act: string[], streams: string[]): Promise<string> =>
  new SignJWT({ act, streams })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('x')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
const [reader, other, player] = await Promise.all([
  token(['read'], ['camera*']),
  token(['read'], ['other']),
  token(['play'], ['camera*']),
]);
const PATH = `/api/v1/streams/${encodeURIComponent(name)}`;
const call = (url: string, key = reader) => http.inject({ url, headers: { authorization: `Bearer ${key}` } });

t.test('formats, widths, and the time of the frame', async (t) => {
  const jpeg = await call(`${PATH}/snapshot.jpg?width=640&t=123`);
  t.equal(jpeg.body, `jpeg of ${name}, 640`);
  t.match(jpeg.headers, {
    'content-type': 'image/jpeg',
    'cache-control': 'private, no-cache',
    'x-content-type-options': 'nosniff',
    'x-frame-time': '2026-01-02T03:04:05.678Z',
    'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT',
  });
  const png = await http.inject(`${PATH}/snapshot.png?accessToken=${reader}`);
  t.strictSame([png.body, png.headers['content-type']], [`PNG of ${name}`, 'image/png']);
});

t.test('refused', async (t) => {
  for (const query of ['width=0', 'width=15', 'width=3841', 'width=1e3', 'width=-1', 'width=64&width=64', 'height=9'])
    t.equal((await call(`${PATH}/snapshot.jpg?${query}`)).statusCode, 400, query);
  t.equal((await call('/api/v1/streams/camera%202/snapshot.jpg')).statusCode, 404);
  t.equal((await call(`${PATH}/snapshot.gif`)).statusCode, 404);
  t.equal((await call(`${PATH}/snapshot.jpg`, other)).statusCode, 403);
  t.equal((await call(`${PATH}/snapshot.jpg`, player)).statusCode, 403);
  t.equal((await http.inject(`${PATH}/snapshot.jpg`)).statusCode, 401);
});
