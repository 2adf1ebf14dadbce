import { createHmac, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { mock } from 'node:test';
import { exportJWK, SignJWT, type JWTPayload } from 'jose';
import t, { type Test } from 'tap';
import type { Principal } from '../../../src/access/authorizer.ts';
import { keepFirstIn, keepFirstOrWarn, type KeepFirst } from '../../../src/access/first-uses.ts';
import { JwtProvider, type JwtProviderOptions } from '../../../src/access/jwt-provider.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { Secret } from '../../../src/net/secret.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const CLAIMS = { sub: 'alice', act: ['publish', 'push'], streams: ['cam1'] };
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

interface Signing {
  readonly key?: Parameters<SignJWT['sign']>[0];
  readonly alg?: string;
  readonly kid?: string;
}
async function sign(claims: JWTPayload, { key = Buffer.from(SECRET), alg = 'HS256', kid }: Signing = {}) {
  return new SignJWT({ exp: inSeconds(60), ...claims }).setProtectedHeader({ alg, ...(kid && { kid }) }).sign(key);
}
const chainOf = (options: JwtProviderOptions) => new ProviderChain([JwtProvider.create(options)]);
const identify = (chain: ProviderChain, token: string): Promise<Principal> =>
  chain.identify({ door: 'wcs', ip: '192.0.2.1', token: new Secret(token) });

t.test('claims become rights', async (t) => {
  const chain = chainOf({ keys: { secret: new Secret(SECRET) } });
  const exp = inSeconds(60);
  const claims = { ...CLAIMS, exp, destinations: ['*.twitch.tv'], maxDuration: 10 };
  t.strictSame(await identify(chain, await sign(claims)), {
    id: 'jwt:alice',
    actions: new Set(['publish', 'push']),
    streams: ['cam1'],
    destinations: ['*.twitch.tv'],
    maxDurationS: 10,
    expiresAt: exp * 1000,
  });
  const bare = await identify(chain, await sign({ sub: 'bob' }));
  t.match(bare, { actions: new Set(), streams: [] }, 'missing claims allow nothing');
  await t.rejects(chain.authorize(bare, 'publish', { stream: 'cam1' }), { code: 'FORBIDDEN' });
});

t.test('the claim rooms: which rooms may be joined, and what may be done there', async (t) => {
  const chain = chainOf({ keys: { secret: new Secret(SECRET) } });
  const join = async (claims: JWTPayload, scope: string): Promise<readonly string[] | undefined> => {
    const principal = await identify(chain, await sign({ sub: 'bob', act: ['join'], ...claims }));
    const { rooms } = await chain.authorize(principal, 'join', { scope });
    return rooms;
  };
  t.equal(await join({}, 'live/any'), undefined, 'all rights in all rooms');
  await t.rejects(join({ act: ['play'] }, 'live/any'), { code: 'FORBIDDEN' });
  const rooms = {
    '*': ['read'],
    'live/lobby': ['read', 'send'],
    'live/*': ['read', 'write'],
    'live/class-*': ['read', 'write', 'send'],
    'live/*lass-9': ['send', 'read'],
    'live/closed-*': [],
  };
  for (const [scope, rights] of [
    ['live/lobby', ['read', 'send']],
    ['live/other', ['read', 'write']],
    ['live/class-1', ['read', 'write', 'send']],
    ['live/class-9', ['read', 'send']],
    ['elsewhere', ['read']],
  ] as const)
    t.strictSame(await join({ rooms }, scope), rights, scope);
  await t.rejects(join({ rooms }, 'live/closed-1'), { code: 'FORBIDDEN', message: /the room "live\/closed-1"/ });
  await t.rejects(join({ rooms: { 'live/lobby': ['read'] } }, 'live/lobby2'), { code: 'FORBIDDEN' });
  await t.rejects(join({ rooms: {} }, 'live/lobby'), { code: 'FORBIDDEN' });
  await t.rejects(join({ rooms: { live: ['fly'] } }, 'live'), { code: 'UNAUTHORIZED', message: /claim rooms/ });
  await t.rejects(join({ rooms: ['live'] }, 'live'), { code: 'UNAUTHORIZED', message: /claim rooms/ });

  const operate = async (claims: JWTPayload, scope: string): Promise<unknown> =>
    chain.authorize(await identify(chain, await sign({ sub: 'op', act: ['control'], ...claims })), 'control', {
      scope,
    });
  await operate({ rooms: { 'live/*': ['read'] } }, 'live/lobby');
  await t.rejects(operate({ rooms: { 'live/*': ['read'] } }, 'other'), { code: 'FORBIDDEN' });
  await t.rejects(operate({ streams: ['*'] }, 'live'), { code: 'FORBIDDEN' }, 'limited to streams, names no rooms');
});

t.test('refused tokens', async (t) => {
  const chain = chainOf({ keys: { secret: new Secret(SECRET) }, issuer: 'https://issuer', audience: 'gateway' });
  const good = { ...CLAIMS, iss: 'https://issuer', aud: 'gateway' };
  t.equal((await identify(chain, await sign(good))).id, 'jwt:alice');
  const [header, payload] = (await sign(good)).split('.') as [string, string];
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const noExpiry: JWTPayload = good;
  for (const [what, token, code, message] of [
    ['expired', await sign({ ...good, exp: inSeconds(-1) }), 'TOKEN_EXPIRED', /has expired/],
    ['not yet valid', await sign({ ...good, nbf: inSeconds(60) }), 'UNAUTHORIZED', /not valid yet/],
    ['wrong audience', await sign({ ...good, aud: 'other' }), 'UNAUTHORIZED', /claim aud/],
    ['wrong issuer', await sign({ ...good, iss: 'https://other' }), 'UNAUTHORIZED', /claim iss/],
    [
      'no expiry',
      await new SignJWT(noExpiry).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET)),
      'UNAUTHORIZED',
      /claim exp/,
    ],
    ['no subject', await sign({ ...good, sub: undefined }), 'UNAUTHORIZED', /claim sub/],
    ['unknown action', await sign({ ...good, act: ['fly'] }), 'UNAUTHORIZED', /claim act/],
    ['streams as text', await sign({ ...good, streams: '*' }), 'UNAUTHORIZED', /claim streams/],
    ['other secret', await sign(good, { key: Buffer.from('x'.repeat(32)) }), 'UNAUTHORIZED', /signature/],
    ['HS512', await sign(good, { alg: 'HS512', key: Buffer.from(SECRET.repeat(2)) }), 'UNAUTHORIZED', /algorithm/],
    ['RS256', await sign(good, { alg: 'RS256', key: rsa.privateKey }), 'UNAUTHORIZED', /algorithm/],
    ['alg none', `${encode({ alg: 'none' })}.${payload}.`, 'UNAUTHORIZED', /not accepted/],
    ['alg None with a signature', `${encode({ alg: 'None' })}.${payload}.AAAA`, 'UNAUTHORIZED', /not accepted/],
    [
      'changed claims',
      `${header}.${encode({ ...good, exp: inSeconds(60), streams: ['*'] })}.${(await sign(good)).split('.')[2]}`,
      'UNAUTHORIZED',
      /signature/,
    ],
    ['not a token', 'a.b', 'UNAUTHORIZED', /not valid/],
    ['too long', `${header}.${'A'.repeat(20_000)}.AAAA`, 'UNAUTHORIZED', /not valid/],
  ] as [string, string, string, RegExp][])
    await t.rejects(identify(chain, token), { code, message }, what);
});

t.test('public keys: only their own algorithm, and never as an HMAC secret', async (t) => {
  const folder = t.testdir({});
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
    EdDSA: generateKeyPairSync('ed25519'),
  };
  for (const [alg, { publicKey, privateKey }] of Object.entries(pairs)) {
    const file = join(folder, `${alg}.pem`);
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    writeFileSync(file, pem);
    const chain = chainOf({ keys: { publicKeyFile: file } });
    t.equal((await identify(chain, await sign(CLAIMS, { alg, key: privateKey }))).id, 'jwt:alice', alg);
    const body = [{ alg: 'HS256' }, { ...CLAIMS, exp: inSeconds(60) }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const confused = `${body}.${createHmac('sha256', pem).update(body).digest('base64url')}`;
    await t.rejects(identify(chain, confused), { code: 'UNAUTHORIZED', message: /algorithm/ }, `confusion with ${alg}`);
    for (const [other, pair] of Object.entries(pairs))
      if (other !== alg)
        await t.rejects(identify(chain, await sign(CLAIMS, { alg: other, key: pair.privateKey })), {
          code: 'UNAUTHORIZED',
        });
  }
  writeFileSync(
    join(folder, 'weak.pem'),
    generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' }),
  );
  for (const name of ['weak.pem', 'missing.pem'])
    t.throws(() => chainOf({ keys: { publicKeyFile: join(folder, name) } }), { code: 'SETTINGS_INVALID' }, name);
});

/** Stops the clocks. Time passes only by what is returned. */
function stopClocks(t: Test): (ms: number) => void {
  let passedMs = 0;
  for (const clock of [Date, performance]) {
    const startMs = clock.now();
    const { mock: stopped } = mock.method(clock, 'now', () => startMs + passedMs);
    t.teardown(() => stopped.restore());
  }
  return (ms) => void (passedMs += ms);
}

t.test('maxDuration counts from the first publication with a token', async (t) => {
  const pass = stopClocks(t);
  const chain = chainOf({ keys: { secret: new Secret(SECRET) } });
  const token = await sign({ ...CLAIMS, maxDuration: 0.5 });
  const publish = async () => chain.authorize(await identify(chain, token), 'publish', { stream: 'cam1' });
  const { endsAt } = await publish();
  t.equal(endsAt, Date.now() + 500);
  pass(499);
  t.equal((await publish()).endsAt, endsAt, 'the same for a second publication');
  pass(1);
  await t.rejects(publish(), { code: 'TOKEN_EXPIRED', message: /maxDuration/ }, 'a replay');
  const fresh = await identify(chain, await sign({ ...CLAIMS, maxDuration: 1e6 }));
  t.equal(
    (await chain.authorize(fresh, 'publish', { stream: 'cam1' })).endsAt,
    fresh.expiresAt,
    'never after the expiry',
  );
});

t.test('maxDuration goes on after a restart and on other nodes, where there is a store', async (t) => {
  const pass = stopClocks(t);
  const keep = keepFirstIn(new MemoryStore({ logger: silentLogger }));
  const process = (keepFirst: KeepFirst) => chainOf({ keys: { secret: new Secret(SECRET) }, keepFirst });
  const publish = async (chain: ProviderChain, token: string) =>
    chain.authorize(await identify(chain, token), 'publish', { stream: 'cam1' });
  const token = await sign({ ...CLAIMS, maxDuration: 2 });
  const { endsAt } = await publish(process(keep), token);
  const second = await publish(process(keep), token);
  t.equal(second.endsAt, endsAt, 'the same end');
  pass(2000);
  await t.rejects(publish(process(keep), token), { code: 'TOKEN_EXPIRED', message: /maxDuration/ });
  t.ok((await publish(process(keep), await sign({ ...CLAIMS, maxDuration: 2, jti: '2' }))).endsAt! > Date.now());

  const failing = keepFirstOrWarn(async () => {
    throw new Error('no answer');
  }, silentLogger);
  const chain = process(failing);
  const other = await sign({ ...CLAIMS, maxDuration: 2, jti: '3' });
  const alone = await publish(chain, other);
  t.ok(alone.endsAt! > Date.now(), 'a store that fails refuses no publisher');
  pass(1000);
  t.equal((await publish(chain, other)).endsAt, alone.endsAt, 'and this process counts');
});

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
}

t.test('keys of a server: cached, bounded, without redirects', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' }] });
  let requests = 0;
  const url = await serve(t, (_, response) => {
    requests++;
    response.end(keys);
  });
  const chain = chainOf({ keys: { jwksUrl: url } });
  const token = await sign(CLAIMS, { alg: 'ES256', key: privateKey, kid: 'one' });
  for (let i = 0; i < 3; i++) t.equal((await identify(chain, token)).id, 'jwt:alice');
  t.equal(requests, 1, 'the keys are cached');
  await t.rejects(identify(chain, await sign(CLAIMS)), { code: 'UNAUTHORIZED' }, 'HS256');
  await t.rejects(identify(chain, await sign(CLAIMS, { alg: 'ES256', key: privateKey, kid: 'two' })), {
    code: 'UNAUTHORIZED',
  });
  t.equal(requests, 1, 'unknown keys do not make it ask again at once');

  for (const [what, listener] of Object.entries({
    redirect: (_, response) => response.writeHead(302, { location: url }).end(),
    'status 500': (_, response) => response.writeHead(500).end(),
    'too large': (_, response) => response.end(`${keys}${' '.repeat(300_000)}`),
    'not JSON': (_, response) => response.end('<html>'),
    closed: (request) => request.destroy(),
  } satisfies Record<string, RequestListener>))
    await t.rejects(
      identify(chainOf({ keys: { jwksUrl: await serve(t, listener) } }), token),
      { code: 'ACCESS_UNAVAILABLE' },
      what,
    );
});
