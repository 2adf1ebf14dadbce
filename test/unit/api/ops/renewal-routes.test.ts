import t from 'tap';
import { issueToken } from '../../../../src/access/issue-token.ts';
import { JwtClaimsSchema } from '../../../../src/access/jwt-claims.ts';
import { Secret } from '../../../../src/net/secret.ts';
import type { StreamSession } from '../../../../src/sessions/client-sessions.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

const { app, http, sessions } = await createHttpApp({ jwt_secret: SECRET, rest_api_key: 'k3y' });
t.teardown(() => app.close());

/** A session of a client, and the ends that it was given. */
function addSession(principalId: string | undefined, published: boolean, name = 'cam 1') {
  const ends: (number | undefined)[] = [];
  const session = { name, published, principalId, renew: (endsAt?: number) => ends.push(endsAt) };
  const remove = sessions.addStream(session as unknown as StreamSession);
  return { ends, remove };
}

async function renew(claims: object, stream = 'cam%201') {
  const token = await issueToken(
    JwtClaimsSchema.parse({ sub: 'alice', exp: inSeconds(60), act: ['publish'], streams: ['cam 1'], ...claims }),
    new Secret(SECRET),
  );
  const headers = { authorization: `Bearer ${token}` };
  return http.inject({ method: 'POST', url: `/api/v1/streams/${stream}/token`, headers });
}

t.test('the sessions of the same client follow the new token', async (t) => {
  const own = addSession('jwt:alice', true);
  const others = [addSession('jwt:bob', true), addSession('jwt:alice', true, 'cam2'), addSession(undefined, false)];
  const exp = inSeconds(100);
  const answer = await renew({ exp });
  t.equal(answer.statusCode, 200);
  t.strictSame(answer.json(), { stream: 'cam 1', sessions: 1, expiresAt: new Date(exp * 1000).toISOString() });
  t.strictSame(own.ends, [exp * 1000]);

  const playing = addSession('jwt:alice', false);
  t.equal((await renew({ exp: exp + 1 })).statusCode, 403, 'may not play');
  t.equal(own.ends.length, 1, 'all or nothing');
  const both = await renew({ exp: exp + 1, act: ['publish', 'play'], maxDuration: 10 });
  t.match(both.json(), { sessions: 2 });
  t.ok(own.ends[1]! < inSeconds(11) * 1000, 'maxDuration begins with the first use of the new token');
  t.strictSame(playing.ends, [(exp + 1) * 1000]);
  for (const other of others) t.strictSame(other.ends, []);
  for (const { remove } of [own, playing, ...others]) remove();
});

t.test('refused without an effect', async (t) => {
  const { ends, remove } = addSession('jwt:alice', true);
  t.match((await renew({ sub: 'bob' })).json(), { status: 404, exception: 'STREAM_NOT_FOUND' }, 'another identity');
  t.equal((await renew({ streams: ['cam2'] })).statusCode, 403, 'another stream');
  t.equal((await renew({ act: [] })).statusCode, 403);
  t.match((await renew({ exp: inSeconds(-1) })).json(), { status: 401, exception: 'TOKEN_EXPIRED' });
  t.equal((await renew({}, 'none')).statusCode, 404);
  const url = '/api/v1/streams/cam%201/token';
  t.equal((await http.inject({ method: 'POST', url })).statusCode, 401);
  const operator = { authorization: 'Bearer k3y' };
  t.equal((await http.inject({ method: 'POST', url, headers: operator })).statusCode, 404, 'not a session of the key');
  t.strictSame(ends, []);
  remove();
});
