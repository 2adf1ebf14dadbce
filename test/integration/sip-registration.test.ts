import t from 'tap';
import type { RegistrationView } from '../../src/sip/registration/registrations.ts';
import type { TestGateway } from '../helpers/gateway.ts';
import { callOver, noKamailio, noSipp, startKamailio, startSipGateway } from '../helpers/sip-peers.ts';
import { answer, register, startSipp } from '../helpers/sipp.ts';
import { waitFor } from '../helpers/wait.ts';

/** Accounts that are kept registered, at kamailio and at registrars that SIPp plays. */

/** Kamailio expires registrations that are not refreshed after this time. */
const GRANTED_S = 10;
/** Milliseconds: a server that is not there yet after its restart is tried again within a minute. */
const TIMEOUT = 100_000;

const registrationOf = async (gateway: TestGateway, user: string): Promise<RegistrationView | undefined> => {
  const { body } = await gateway.http('/api/v1/sip/registrations');
  return (body as RegistrationView[]).find(({ account }) => account.startsWith(`${user}@`));
};

const reached = (gateway: TestGateway, user: string, state: string): Promise<RegistrationView> =>
  waitFor(
    `${user} is ${state}`,
    async () => {
      const found = await registrationOf(gateway, user);
      return found?.state === state ? found : undefined;
    },
    { timeout: TIMEOUT },
  );

void t.test('kamailio as the registrar, over UDP and TCP', { skip: noKamailio }, async (t) => {
  const kamailio = await startKamailio({ maxExpires: GRANTED_S });
  t.teardown(() => kamailio.stop());
  const place = `@sip.test;proxy=127.0.0.1:${kamailio.port}`;
  const gateway = await startSipGateway({
    sip_register: `2000:pw-2000${place};stream=in,2001:wrong-word${place},2002:pw-2002${place};transport=tcp`,
  });
  t.teardown(() => gateway.stop());
  const times = (user: string, what = 'there'): number =>
    kamailio.output().match(new RegExp(`location: ${user} is ${what}`, 'g'))?.length ?? 0;
  const seen = (user: string, count: number, what?: string) =>
    waitFor(`kamailio: ${user} is ${what} for the ${count}. time`, () => times(user, what) >= count, {
      timeout: TIMEOUT,
    });

  t.match(await reached(gateway, '2000', 'registered'), { account: '2000@sip.test', stream: 'in', reason: null });
  await reached(gateway, '2002', 'registered');
  t.match(await reached(gateway, '2001', 'failed'), { reasonCode: 'SIP_AUTH_FAILED', expiresAt: null });
  const metrics = await gateway.http('/metrics');
  t.match(metrics.text, /^gateway_sip_registrations\{state="registered"\} 2$/m);
  t.match(metrics.text, /^gateway_sip_registrations\{state="failed"\} 1$/m);

  const first = await registrationOf(gateway, '2000');
  await Promise.all([seen('2000', 2), seen('2002', 2)]);
  const refreshed = await waitFor('the answer to the refresh', async () => {
    const one = await registrationOf(gateway, '2000');
    return one?.expiresAt === first?.expiresAt ? undefined : one;
  });
  t.ok(Date.parse(refreshed.expiresAt!) > Date.parse(first!.expiresAt!), 'it was refreshed');
  t.equal(times('2001'), 0);

  await kamailio.restart();
  await Promise.all([seen('2000', 1), seen('2002', 1)]);
  await Promise.all([reached(gateway, '2000', 'registered'), reached(gateway, '2002', 'registered')]);
  t.pass('both are registered again at a server that has forgotten them');

  t.same([times('2000', 'gone'), times('2002', 'gone')], [0, 0]);
  await gateway.stop();
  await Promise.all([seen('2000', 1, 'gone'), seen('2002', 1, 'gone')]);
  t.pass('the location table has them no more');
  t.notMatch(gateway.logs(), /pw-200|wrong-word/, 'no password in the log');
  t.equal(gateway.logs().match(/cannot be registered/g)?.length, 1, 'the wrong password was reported once');
});

void t.test('an account is registered for the time of a call', { skip: noKamailio }, async (t) => {
  const kamailio = await startKamailio();
  t.teardown(() => kamailio.stop());
  const gateway = await startSipGateway();
  t.teardown(() => gateway.stop());
  const call = (callId: string, sipPassword: string) =>
    gateway.rest('/call/startup', {
      ...{ callId, toStream: callId, callee: '4711', sipLogin: '2000', sipPassword, sipRegisterRequired: true },
      ...{ sipDomain: '127.0.0.1', sipPort: kamailio.port },
    });
  t.equal((await call('right', 'pw-2000')).status, 200);
  t.match(await callOver(gateway, 'right'), { reasonCode: 'SIP_NOT_FOUND', sipStatus: 404 });
  await waitFor('the end of the registration', () => /2000 is there[^]*2000 is gone/.test(kamailio.output()));
  t.equal((await call('wrong', 'no')).status, 200);
  t.match(await callOver(gateway, 'wrong'), { reasonCode: 'SIP_REGISTER_FAILED', reason: /password \(401/ });
  t.equal(kamailio.output().match(/is there/g)?.length, 1);
});

void t.test('423, and 503 with Retry-After', { skip: noSipp }, async (t) => {
  const expires = (value: number) => ({ header: 'Expires:', pattern: `^ *${value}$` });
  const strict = await startSipp([
    register(expires(300)),
    answer(423, 'Interval Too Brief', { headers: ['Min-Expires: 600'] }),
    register(expires(600)),
    answer(200, 'OK', { headers: ['Expires: 600'] }),
    register(expires(0)),
    answer(200, 'OK'),
  ]);
  const full = await startSipp([
    register(expires(300)),
    answer(503, 'Service Unavailable', { headers: ['Retry-After: 1800'] }),
  ]);
  t.teardown(() => Promise.all([strict.stop(), full.stop()]));
  const gateway = await startSipGateway({
    sip_register: `1:pw@sip.test;proxy=127.0.0.1:${strict.port},2:pw@sip.test;proxy=127.0.0.1:${full.port}`,
  });
  t.teardown(() => gateway.stop());
  const { expiresAt } = await reached(gateway, '1', 'registered');
  t.ok(Date.parse(expiresAt!) > Date.now() + 300_000, 'what the registrar wants');
  t.match(await reached(gateway, '2', 'failed'), {
    reasonCode: 'SIP_REGISTER_FAILED',
    reason: /503 Service Unavailable.*after 1800 s/,
  });
  t.equal(await full.failure(), '');
  await gateway.stop();
  t.equal(await strict.failure(), '', 'unregistered at the end');
});
