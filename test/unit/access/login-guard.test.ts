import t from 'tap';
import type { Authorizer } from '../../../src/access/authorizer.ts';
import { LoginGuard } from '../../../src/access/login-guard.ts';
import { ProviderChain } from '../../../src/access/provider-chain.ts';
import { StaticKeyProvider } from '../../../src/access/static-key.ts';
import { GatewayError } from '../../../src/errors.ts';
import { Secret } from '../../../src/net/secret.ts';
import { limitHits } from '../../../src/observe/limits.ts';

const chain = (): Authorizer =>
  new ProviderChain([new StaticKeyProvider({ all: new Secret('right'), read: new Secret('look') })]);
const login = (guard: Authorizer, token: string | undefined, ip = '192.0.2.1') =>
  guard.identify({ door: 'rest', ip, token: token === undefined ? undefined : new Secret(token) });
const wrong = { code: 'UNAUTHORIZED' };
const limited = { code: 'RATE_LIMITED', httpStatus: 429 };

t.test(
  'after some wrong credentials, unknown ones of the address are refused for the rest of the minute',
  async (t) => {
    let now = 0;
    const guard = new LoginGuard(chain(), 3, () => now);
    const hits = () => limitHits.counts.get('max_failed_logins_per_minute') ?? 0;
    const before = hits();
    await login(guard, 'right');
    for (let guess = 0; guess < 3; guess++) await t.rejects(login(guard, `guess-${guess}`), wrong);
    now = 20_500;
    await t.rejects(login(guard, 'another'), { ...limited, retryAfterS: 40 });
    await t.rejects(login(guard, 'look'), limited, 'a guess that is right is not confirmed');
    t.match(await login(guard, 'right'), { id: 'rest_api_key' }, 'a key that was accepted before');
    await t.rejects(login(guard, 'look', '::ffff:192.0.2.1'), limited, 'the same address, written in another way');
    t.match(await login(guard, 'look', '192.0.2.2'), { id: 'rest_api_read_key' }, 'another address');
    t.equal(hits() - before, 3);
    now = 60_000;
    await t.rejects(login(guard, 'another'), wrong, 'a new minute');
  },
);

t.test('only wrong credentials count', async (t) => {
  const guard = new LoginGuard(chain(), 1);
  for (let count = 0; count < 3; count++) await t.rejects(login(guard, undefined), wrong, 'no credential');
  const expired = new LoginGuard(
    {
      identify: () => Promise.reject(new GatewayError('TOKEN_EXPIRED', '')),
      authorize: async () => ({}),
    },
    1,
  );
  for (let count = 0; count < 3; count++) await t.rejects(login(expired, 'token'), { code: 'TOKEN_EXPIRED' });
});
