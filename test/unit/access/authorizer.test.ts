import { inspect } from 'node:util';
import t from 'tap';
import { ALL_ACTIONS, type Credentials, type Door, type Principal } from '../../../src/access/authorizer.ts';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { GatewayError } from '../../../src/errors.ts';
import { Secret } from '../../../src/net/secret.ts';

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

t.test('rest_api_key opens every door; without it, monitoring and the WebSocket are open', async (t) => {
  const authorizer = createAuthorizer({ rest_api_key: 'correct-horse', allow_anonymous: false });
  for (const door of ['rest', 'whip', 'whep', 'console'] as const) {
    const principal = await authorizer.identify(from(door, { token: new Secret('correct-horse') }));
    for (const action of ALL_ACTIONS) await authorizer.authorize(principal, action);
    await authorizer.identify(from(door, { password: new Secret('correct-horse') }));
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
  for (const [door, allowed] of [
    ['wcs', ['publish', 'play', 'push']],
    ['metrics', ['read']],
  ] as const) {
    const principal = await authorizer.identify(from(door, { token: new Secret('any') }));
    t.strictSame([...principal.actions], allowed, door);
    await t.rejects(authorizer.authorize(principal, 'admin'), { code: 'FORBIDDEN' });
  }
});

t.test('without a key, requests must name this machine, unless every client is allowed', async (t) => {
  const loopback = createAuthorizer({ rest_api_key: '', allow_anonymous: false });
  t.match(await loopback.identify(from('rest', { host: 'localhost:8081' })), { id: 'anonymous', actions: ALL_ACTIONS });
  for (const host of [undefined, '', 'evil.example'])
    await t.rejects(loopback.identify(from('rest', { host })), { code: 'HOST_NOT_ALLOWED' });
  const open = createAuthorizer({ rest_api_key: '', allow_anonymous: true });
  t.match(await open.identify(from('whip', { host: 'gateway.example' })), { id: 'anonymous', actions: ALL_ACTIONS });
});
