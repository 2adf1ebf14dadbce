import { inspect } from 'node:util';
import t from 'tap';
import { ALL_ACTIONS, type Credentials, type Door, type Principal } from '../../../src/access/authorizer.ts';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { matchesName } from '../../../src/access/rights.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { GatewayError } from '../../../src/errors.ts';
import { Secret } from '../../../src/net/secret.ts';
import { silentLogger } from '../../../src/observe/logger.ts';

const from = (door: Door, more: Partial<Credentials> = {}): Credentials => ({ door, ip: '192.0.2.1', ...more });
const reader: Principal = { id: 'reader', actions: new Set(['read']) };

t.test('the first provider that recognises the credential decides', async (t) => {
  const asked: string[] = [];
  const provider = (name: string, result: Principal | GatewayError | undefined) => ({
    identify: async () => {
      asked.push(name);
      if (result instanceof GatewayError) throw result;
      return result;
    },
  });
  const chain = new ProviderChain([provider('a', undefined), provider('b', reader), provider('c', undefined)]);
  t.equal(await chain.identify(from('rest')), reader);
  t.strictSame(asked, ['a', 'b'], 'later ones are not asked');

  asked.length = 0;
  const refusing = new ProviderChain([
    provider('a', new GatewayError('UNAUTHORIZED', 'expired')),
    provider('b', reader),
  ]);
  await t.rejects(refusing.identify(from('rest')), { code: 'UNAUTHORIZED', message: 'expired' });
  t.strictSame(asked, ['a'], 'an invalid credential is not tried elsewhere');

  for (const providers of [[], [provider('a', undefined)]])
    await t.rejects(new ProviderChain(providers).identify(from('rest')), { code: 'UNAUTHORIZED' }, 'denied by default');
});

t.test('a principal may do its actions and no others', async (t) => {
  const chain = new ProviderChain([]);
  await chain.authorize(reader, 'read', { stream: 'cam' });
  for (const action of ALL_ACTIONS)
    if (action !== 'read')
      await t.rejects(chain.authorize(reader, action), { code: 'FORBIDDEN', message: new RegExp(`"${action}"`) });
});

const authorizerFor = (settings: Record<string, string>) =>
  createAuthorizer(SettingsSchema.parse(settings), silentLogger);
const DOORS: readonly Door[] = ['rest', 'whip', 'whep', 'red5', 'wcs', 'console'];

t.test('a principal is limited to its streams, its destinations and its time', async (t) => {
  const chain = new ProviderChain([]);
  const now = Date.now();
  const principal: Principal = {
    id: 'limited',
    actions: new Set(['publish', 'push']),
    streams: ['cam1', 'studio-*'],
    destinations: ['a.rtmp.youtube.com', '*.twitch.tv', '192.0.2.7'],
  };
  const to = (host: string) => ({ stream: 'cam1', destination: { host, redacted: `rtmp://${host}/live` } });
  for (const stream of ['cam1', 'studio-', 'studio-7']) await chain.authorize(principal, 'publish', { stream });
  for (const stream of ['cam', 'cam11', 'CAM1', 'my-studio-7', 'cam1*', ''])
    await t.rejects(
      chain.authorize(principal, 'publish', { stream }),
      { code: 'FORBIDDEN', message: /"publish": they do not include the stream/ },
      stream,
    );
  for (const host of ['a.rtmp.youtube.com', 'A.RTMP.YouTube.com.', 'live.twitch.tv', '192.0.2.7'])
    await chain.authorize(principal, 'push', to(host));
  for (const host of [
    'b.rtmp.youtube.com',
    'twitch.tv',
    'eviltwitch.tv',
    '192.0.2.8',
    'a.rtmp.youtube.com.evil.example',
  ])
    await t.rejects(
      chain.authorize(principal, 'push', to(host)),
      { code: 'FORBIDDEN', message: /"push": they do not include the destination/ },
      host,
    );
  await t.rejects(chain.authorize({ ...principal, expiresAt: now - 1 }, 'publish', { stream: 'cam1' }), {
    code: 'TOKEN_EXPIRED',
  });
  const expiresAt = now + 60_000;
  t.strictSame(await chain.authorize({ ...principal, expiresAt }, 'publish', { stream: 'cam1' }), {
    endsAt: expiresAt,
  });
});

t.test('patterns of stream names', async (t) => {
  for (const [pattern, name, matches] of [
    ['*', '', true],
    ['*', 'a/b.c', true],
    ['a*c', 'ac', true],
    ['a*c', 'abbc', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c', false],
    ['a*bc*bc', 'abc', false],
    ['.*', 'abc', false],
    [`${'a*'.repeat(500)}b`, 'a'.repeat(256), false],
  ] as const)
    t.equal(matchesName(pattern, name), matches, `${pattern} ${name}`);
});

t.test('the keys are checked at every door, the WebSocket included', async (t) => {
  const authorizer = authorizerFor({ rest_api_key: 'correct-horse', rest_api_read_key: 'look-only' });
  for (const door of DOORS) {
    const principal = await authorizer.identify(from(door, { token: new Secret('correct-horse') }));
    for (const action of ALL_ACTIONS) await authorizer.authorize(principal, action, { stream: 'any' });
    await authorizer.identify(from(door, { password: new Secret('correct-horse') }));
    const readOnly = await authorizer.identify(from(door, { token: new Secret('look-only') }));
    t.equal(readOnly.id, 'rest_api_read_key');
    await authorizer.authorize(readOnly, 'read');
    for (const action of ALL_ACTIONS)
      if (action !== 'read') await t.rejects(authorizer.authorize(readOnly, action), { code: 'FORBIDDEN' });
    for (const credentials of [
      {},
      { host: 'localhost', username: 'correct-horse' },
      { token: new Secret('') },
      { token: new Secret('correct-hors') },
      { token: new Secret('wrong'), password: new Secret('correct-horse') },
    ]) {
      const error = await authorizer.identify(from(door, credentials)).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      t.match(error, { code: 'UNAUTHORIZED' }, `${door} ${inspect(credentials)}`);
      t.notMatch(inspect(error), 'correct');
    }
  }
  const monitoring = await authorizer.identify(from('metrics'));
  t.strictSame([...monitoring.actions], ['read']);
  await t.rejects(authorizer.authorize(monitoring, 'admin'), { code: 'FORBIDDEN' });
});

t.test('every provider closes all doors to clients without a credential', async (t) => {
  for (const settings of [
    { rest_api_key: 'k' },
    { rest_api_read_key: 'k' },
    { jwt_secret: 's'.repeat(32) },
    { jwt_jwks_url: 'http://127.0.0.1:1/' },
  ] as Record<string, string>[])
    for (const door of DOORS)
      await t.rejects(authorizerFor(settings).identify(from(door, { host: 'localhost' })), { code: 'UNAUTHORIZED' });
});

t.test('without a provider, requests must name this machine, unless everybody is allowed', async (t) => {
  const loopback = authorizerFor({});
  t.match(await loopback.identify(from('rest', { host: 'localhost:8081' })), { id: 'anonymous', actions: ALL_ACTIONS });
  t.match(await loopback.identify(from('wcs')), { id: 'anonymous' }, 'the WebSocket checks the origin instead');
  for (const host of [undefined, '', 'evil.example'])
    await t.rejects(loopback.identify(from('rest', { host })), { code: 'HOST_NOT_ALLOWED' });
  const open = authorizerFor({ allow_anonymous: 'true' });
  t.match(await open.identify(from('whip', { host: 'gateway.example' })), { id: 'anonymous', actions: ALL_ACTIONS });
});
