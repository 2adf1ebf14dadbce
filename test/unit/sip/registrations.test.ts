import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import type { Flow } from '../../../src/sip/transport/flow.ts';
import {
  challenge,
  contactUser,
  grant,
  grantAll,
  MINUTE,
  REGISTRAR,
  startRegistrations,
  withDigest,
} from '../../helpers/fake-registrar.ts';
import { flowTo } from '../../helpers/sip-network.ts';

const OTHER = '10.0.0.3';

const accountsOf = (...users: string[]): string => users.map((user) => `${user}:pw@sip.test`).join(',');

t.test('an account is registered with digest, refreshed at 80 %, and kept alive', async (t) => {
  const { clock, registrations, got, keptAlive, events, log } = startRegistrations({ script: withDigest(200) });
  t.match(registrations.get(), [{ account: '1001@sip.test', state: 'registering', expiresAt: null }]);
  await clock.passSettled(1000);
  t.same(
    got.map(({ request }) => [request.method, request.uri, request.get('expires'), request.cseq.number]),
    [
      ['REGISTER', 'sip:sip.test', '300', 1],
      ['REGISTER', 'sip:sip.test', '300', 2],
    ],
  );
  t.match(got[0]!.request.get('to'), '<sip:1001@sip.test>');
  t.match(contactUser(got[0]!.request), /^[0-9a-f]{24}$/, '96 bits');
  const [view] = registrations.get();
  t.match(view, { state: 'registered', stream: 'in', reason: null, reasonCode: null });
  t.ok(Math.abs(Date.parse(view!.expiresAt!) - (clock.date() + 199_000)) < 1000, 'what was granted');
  await clock.passSettled(158_000);
  t.equal(got.length, 2);
  t.equal(keptAlive.length, 6, 'each 25 s');
  await clock.passSettled(2000);
  t.equal(got.length, 4, 'refreshed');
  t.equal(contactUser(got[3]!.request), contactUser(got[0]!.request));
  t.equal(events.length, 1, 'a refresh is no event');
  t.equal(log().split('\n').filter(Boolean).length, 1);
  t.notMatch(JSON.stringify([registrations.get(), events]) + log(), 'pw-secret');
});

t.test('a call is taken from the addresses of the registrar, for the user part of the Contact', async (t) => {
  const places = { flows: [flowTo(REGISTRAR), flowTo(OTHER)] };
  const { clock, registrations, got, peers } = startRegistrations({
    accounts: '1001:pw@sip.test;stream=in,1002:pw@sip.test',
    script: grantAll,
    places,
  });
  await clock.passSettled(1000);
  const [first, second] = got.map(({ request }) => contactUser(request)) as [string, string];
  t.not(first, second, 'each has its own');
  t.same(registrations.accepts({ address: REGISTRAR }, first), { account: '1001@sip.test', stream: 'in' });
  t.same(registrations.accepts({ address: OTHER }, second), { account: '1002@sip.test', stream: undefined });
  t.equal(registrations.accepts({ address: '10.0.0.4' }, first), undefined);
  t.equal(registrations.accepts({ address: REGISTRAR }, '1001'), undefined);
  t.same([peers.has(REGISTRAR), peers.has(OTHER), peers.has('10.0.0.4')], [true, true, false]);
  await Promise.all([registrations.close(), clock.passSettled(1000)]);
  t.equal(registrations.accepts({ address: REGISTRAR }, first), undefined, 'after the end');
  t.notOk(peers.has(REGISTRAR));
});

t.test('423: the time that the registrar wants is asked for, and remembered', async (t) => {
  const { clock, registrations, got } = startRegistrations({
    script: (request, reply) =>
      Number(request.get('expires')) < 600
        ? reply(423, { toTag: 'r', headers: { 'min-expires': '600' } })
        : reply(200, grant(request)),
  });
  await clock.passSettled(481_000);
  t.same(
    got.map(({ request }) => request.get('expires')),
    ['300', '600', '600'],
  );
  t.match(registrations.get(), [{ state: 'registered' }]);
  for (const [least, count] of [
    ['600', 2],
    ['soon', 2],
    ['100', 1],
    ['99999999', 1],
  ] as const) {
    const endless = startRegistrations({
      script: (_, reply) => reply(423, { toTag: 'r', headers: { 'min-expires': least } }),
    });
    await endless.clock.passSettled(1000);
    t.equal(endless.got.length, count, least);
    t.match(endless.registrations.get(), [{ state: 'failed', reasonCode: 'SIP_REGISTER_FAILED', reason: /423/ }]);
  }
});

t.test('a stale nonce is replaced, a second challenge is a wrong password', async (t) => {
  const stale = startRegistrations({
    script: (request, reply, n) => {
      if (n === 1) reply(401, challenge());
      else if (n === 2) reply(401, challenge('n2', ', stale=true'));
      else reply(200, grant(request));
    },
  });
  await stale.clock.passSettled(1000);
  t.equal(stale.got.length, 3);
  t.match(stale.registrations.get(), [{ state: 'registered' }]);

  const wrong = startRegistrations({ accounts: '1001:guess@sip.test' });
  await wrong.clock.passSettled(15 * MINUTE - 1000);
  t.equal(wrong.got.length, 2, 'it is not tried again soon');
  t.match(wrong.registrations.get(), [
    { state: 'failed', reasonCode: 'SIP_AUTH_FAILED', reason: /password \(401 Unauthorized\).*sip_register/ },
  ]);
  await wrong.clock.passSettled(60 * MINUTE);
  t.ok(wrong.got.length > 2);
  t.equal(wrong.log().match(/1001@sip.test/g)?.length, 1, 'logged once, with its name');
  t.equal(wrong.events.length, 1);
  t.notMatch(wrong.log(), 'guess');

  const unknown = startRegistrations({
    script: (_, reply) =>
      reply(401, { toTag: 'r', headers: { 'www-authenticate': 'Digest realm="x", nonce="n", algorithm=X' } }),
  });
  await unknown.clock.passSettled(1000);
  t.match(unknown.registrations.get(), [{ reasonCode: 'SIP_AUTH_FAILED', reason: /SHA-256/ }]);
});

t.test('failures are tried again after 30 s to 30 minutes, with jitter', async (t) => {
  for (const [random, waits] of [
    [0, [30, 60, 120, 240, 480, 900, 900]],
    [1, [60, 120, 240, 480, 960, 1800, 1800]],
  ] as const) {
    const { clock, got, registrations, events } = startRegistrations({
      random,
      script: (_, reply) => reply(503, { toTag: 'r' }),
    });
    await clock.passSettled(150 * MINUTE);
    const times = got.map(({ at }) => at);
    t.same(
      times.slice(1, 8).map((at, index) => Math.round((at - times[index]!) / 1000)),
      waits,
    );
    t.match(registrations.get(), [{ state: 'failed', reasonCode: 'SIP_REGISTER_FAILED', reason: /503/ }]);
    t.equal(events.length, 1);
  }
});

t.test('Retry-After is kept, and success ends the back-off', async (t) => {
  const { clock, got, events, keptAlive } = startRegistrations({
    script: (request, reply, n) => {
      if (n < 3) reply(503, { toTag: 'r', headers: { 'retry-after': '400 (busy);duration=3' } });
      else if (n === 3) reply(200, grant(request));
      else reply(500, { toTag: 'r' });
    },
  });
  await clock.passSettled(20 * MINUTE);
  const times = got.map(({ at }) => Math.round((at - got[0]!.at) / 1000));
  t.same(times.slice(0, 5), [0, 400, 800, 1040, 1070]);
  t.same(
    events.map(({ state }) => state),
    ['failed', 'registered', 'failed'],
  );
  t.equal(keptAlive.length, 9, 'only while it is registered');
});

t.test('a registrar that does not answer, and one that is not there', async (t) => {
  const silent = startRegistrations({ script: () => undefined });
  await silent.clock.passSettled(33_000);
  t.match(silent.registrations.get(), [{ state: 'failed', reasonCode: 'SIP_UNREACHABLE', reason: /32 s/ }]);
  const refusing = startRegistrations({ places: { flows: [flowTo(REGISTRAR, 'tcp')] } });
  refusing.network.refusesTcp.add(REGISTRAR);
  await refusing.clock.passSettled(1000);
  t.match(refusing.registrations.get(), [{ state: 'failed', reasonCode: 'SIP_UNREACHABLE', reason: /ECONNREFUSED/ }]);
  const places: { flows: readonly Flow[] | Error } = {
    flows: new GatewayError('SIP_DESTINATION_NOT_RESOLVED', 'Check sipDomain.'),
  };
  const unknown = startRegistrations({ places });
  await unknown.clock.passSettled(1000);
  t.match(unknown.registrations.get(), [
    { state: 'failed', reasonCode: 'SIP_DESTINATION_NOT_RESOLVED', reason: /sip\.test.*sip_register/ },
  ]);
  places.flows = [flowTo(REGISTRAR)];
  await unknown.clock.passSettled(31_000);
  t.match(unknown.registrations.get(), [{ state: 'registered' }], 'DNS has come back');
});

t.test('one REGISTER at a time at one registrar', async (t) => {
  let pending = 0;
  let most = 0;
  const users = ['1', '2', '3', '4'];
  const { clock, registrations, got } = startRegistrations({
    accounts: accountsOf(...users),
    script: (request, reply) => {
      most = Math.max(most, ++pending);
      clock.after(400, () => {
        pending--;
        reply(200, grant(request));
      });
    },
  });
  await clock.passSettled(3000);
  t.same([got.length, most], [4, 1]);
  t.same(
    registrations.get().map(({ account, state }) => `${account} ${state}`),
    users.map((user) => `${user}@sip.test registered`),
  );
});

t.test('all are unregistered at the end, within a bound', async (t) => {
  const { clock, registrations, got, layer } = startRegistrations({ accounts: accountsOf('1', '2'), script: grantAll });
  await clock.passSettled(1000);
  const closed = registrations.close();
  t.equal(registrations.close(), closed);
  await Promise.all([closed, clock.passSettled(1000)]);
  t.same(
    got.slice(2).map(({ request }) => [request.get('expires'), contactUser(request)]),
    got.slice(0, 2).map(({ request }) => ['0', contactUser(request)]),
  );
  t.match(registrations.get(), [{ state: 'unregistered', expiresAt: null }, { state: 'unregistered' }]);
  const count = got.length;
  await clock.passSettled(60 * MINUTE);
  t.same([got.length, layer.size, clock.timers], [count, 0, 0], 'nothing is left');

  let isSilent = false;
  const silent = startRegistrations({ script: (request, reply) => !isSilent && reply(200, grant(request)) });
  await silent.clock.passSettled(1000);
  isSilent = true;
  const before = silent.clock.now();
  let endedAt = 0;
  const ended = silent.registrations.close().then(() => (endedAt = silent.clock.now()));
  await Promise.all([ended, silent.clock.passSettled(10_000)]);
  t.equal(endedAt - before, 2000, 'a registrar that does not answer is not waited for');
});

t.test('a registration that is granted during the end is given up; one that never was sends nothing', async (t) => {
  const late = startRegistrations({
    script: (request, reply) => void late.clock.after(200, () => reply(200, grant(request))),
  });
  await late.clock.passSettled(100);
  await Promise.all([late.registrations.close(), late.clock.passSettled(3000)]);
  t.same(
    late.got.map(({ request }) => request.get('expires')),
    ['300', '0'],
  );
  await late.clock.passSettled(10 * MINUTE);
  t.same([late.got.length, late.keptAlive.length, late.clock.timers], [2, 0, 0]);
  const refused = startRegistrations({ script: (_, reply) => reply(403, { toTag: 'r' }) });
  await refused.clock.passSettled(1000);
  t.match(refused.registrations.get(), [{ reasonCode: 'SIP_AUTH_FAILED' }]);
  await Promise.all([refused.registrations.close(), refused.clock.passSettled(3000)]);
  t.equal(refused.got.length, 1);
});

t.test('answers that are odd', async (t) => {
  for (const [contact, expires, state] of [
    ['<sip:other', '120', 'registered'],
    ['BROKEN;expires=0', '120', 'registered'],
    ['', '120', 'registered'],
    ['OWN;expires=0', '120', 'failed'],
    ['OWN;expires=abc', 'abc', 'registered'],
  ] as const) {
    const { clock, registrations } = startRegistrations({
      script: (request, reply) =>
        reply(200, {
          toTag: 'r',
          headers: {
            contact: contact.replace('OWN', request.get('contact')!).replace('BROKEN', `<sip:${contactUser(request)}`),
            expires,
          },
        }),
    });
    await clock.passSettled(1000);
    t.match(registrations.get(), [{ state }], contact);
    await clock.passSettled(10 * MINUTE);
    t.match(registrations.get(), [{ state }], `${contact}, refreshed`);
  }
});
