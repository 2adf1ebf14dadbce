import t from 'tap';
import { SerialWork } from '../../../src/runtime/async.ts';
import { registerOnce } from '../../../src/sip/call/register-once.ts';
import { parseNameAddr, tryParseUri } from '../../../src/sip/message/address.ts';
import { Registration } from '../../../src/sip/registration/registration.ts';
import type { Flow } from '../../../src/sip/transport/flow.ts';
import {
  challenge,
  contactUser,
  GATEWAY,
  grant,
  grantAll,
  MINUTE,
  REGISTRAR,
  startRegistrations,
  withDigest,
} from '../../helpers/fake-registrar.ts';
import { flowTo, password } from '../../helpers/sip-network.ts';

/** Registrars with several addresses, that move, lose connections and see another address of the gateway. */

const OTHER = '10.0.0.3';

t.test('the next place of the registrar is tried when the first one fails', async (t) => {
  const { clock, got, play, registrations } = startRegistrations({
    script: () => undefined,
    places: { flows: [flowTo(REGISTRAR), flowTo(OTHER)] },
  });
  play(OTHER, grantAll);
  await clock.passSettled(90_000);
  t.match(registrations.get(), [{ state: 'registered' }]);
  const count = got.length;
  await clock.passSettled(240_000);
  t.same(
    got.slice(count).map(({ to }) => to),
    [OTHER],
    'it stays where it works',
  );
});

t.test('a connection that is lost is made again, ever more slowly if that repeats', async (t) => {
  const flow = flowTo(REGISTRAR, 'tcp');
  const { clock, wire, got, registrations } = startRegistrations({ script: grantAll, places: { flows: [flow] } });
  await clock.passSettled(1000);
  const lose = (lost: Flow): void => void wire.emit('failed', lost, { kind: 'unreachable', message: 'closed' });
  lose(flowTo(OTHER, 'tcp'));
  await clock.passSettled(10_000);
  t.equal(got.length, 1, 'another one does not matter');
  const waitAfterLoss = async (): Promise<number> => {
    const [at, count] = [clock.now(), got.length];
    lose(flow);
    while (got.length === count) await clock.passSettled(100);
    await clock.passSettled(500);
    return Math.round((got.at(-1)!.at - at) / 1000);
  };
  const waits: number[] = [];
  for (let i = 0; i < 5; i++) waits.push(await waitAfterLoss());
  t.same(waits, [1, 2, 4, 8, 16]);
  await clock.passSettled(2 * MINUTE);
  t.equal(await waitAfterLoss(), 1, 'it has held for a while');
  for (let i = 0; i < 20; i++) t.ok((await waitAfterLoss()) <= 240, 'not later than the refresh');
  t.match(registrations.get(), [{ state: 'registered' }]);
});

t.test('the registrar moves', async (t) => {
  const places = { flows: [flowTo(REGISTRAR)] };
  const { clock, got, play, registrations, peers } = startRegistrations({
    places,
    script: (request, reply) => reply(200, grant(request, 86_400)),
  });
  play(OTHER, grantAll);
  await clock.passSettled(1000);
  places.flows = [flowTo(REGISTRAR), flowTo(OTHER)];
  await clock.passSettled(6 * MINUTE);
  t.equal(got.length, 1, 'another address besides does not matter');
  const user = contactUser(got[0]!.request);
  t.ok(registrations.accepts({ address: OTHER }, user));
  places.flows = [flowTo(OTHER)];
  await clock.passSettled(6 * MINUTE);
  t.match(got.at(-1), { to: OTHER });
  t.equal(contactUser(got.at(-1)!.request), user);
  t.notOk(registrations.accepts({ address: REGISTRAR }, user));
  t.same([peers.has(REGISTRAR), peers.has(OTHER)], [false, true]);
});

t.test('behind NAT the Contact has the address that the registrar sees', async (t) => {
  let host = GATEWAY;
  let seen = '203.0.113.5';
  const { clock, got } = startRegistrations({
    localOf: () => ({ host, port: 5060 }),
    learn: (_, address) => (host = address),
    script: (request, reply, n) => {
      const via = request.get('via')!;
      request.set('via', `${via};received=${seen}`);
      if (n === 1) reply(401, challenge());
      else reply(200, grant(request));
    },
  });
  await clock.passSettled(1000);
  const hosts = () => got.map(({ request }) => tryParseUri(parseNameAddr(request.get('contact')).uri)?.host);
  t.same(hosts(), [GATEWAY, seen]);
  seen = '203.0.113.6';
  await clock.passSettled(240_000);
  t.same(hosts().slice(2), ['203.0.113.5', seen], 'it changes while registered');
});

t.test('an account is registered for one call', async (t) => {
  const { clock, layer, got, network } = startRegistrations({ accounts: '', script: withDigest() });
  const once = (secret: string) =>
    registerOnce(
      (_, account, flow) =>
        new Registration({
          layer,
          clock,
          random: () => 0,
          account,
          registrar: 'sip:sip.test',
          locate: async () => [flow],
          credentials: { username: '1001', password: password(secret) },
          expiresS: 300,
          dialog: { userAgent: 'test', localOf: () => ({ host: GATEWAY, port: 5060 }), permits: () => true },
          locals: { find: async () => GATEWAY, learn: () => undefined },
          hold: () => () => undefined,
          keepAlive: () => undefined,
          turns: new SerialWork(),
        }),
    )({} as never, 'sip:1001@sip.test', flowTo(REGISTRAR));
  const registered = once('pw-secret');
  await clock.passSettled(1000);
  (await registered)();
  await clock.passSettled(1000);
  t.same(
    got.map(({ request }) => request.get('expires')),
    ['300', '300', '0', '0'],
  );
  const refused = once('guess');
  refused.catch(() => undefined);
  await clock.passSettled(1000);
  await t.rejects(refused, { code: 'SIP_REGISTER_FAILED', message: /password \(401.*sipRegisterRequired/ });
  await clock.passSettled(60 * MINUTE);
  t.equal(got.length, 6, 'and not again');
  t.equal(network.clock.timers, 0);
});
