import t, { type Test } from 'tap';
import { FailedLogins } from '../../../src/access/failed-logins.ts';
import { GatewayError } from '../../../src/errors.ts';
import { Secret } from '../../../src/net/secret.ts';
import type { CallSubject } from '../../../src/sip/call/call-request.ts';
import { CODEC_NAMES } from '../../../src/sip/media/codecs.ts';
import type { Callers } from '../../../src/sip/incoming/callers.ts';
import { DigestGate } from '../../../src/sip/incoming/digest-gate.ts';
import { IncomingCalls } from '../../../src/sip/incoming/incoming-calls.ts';
import { BadMessage } from '../../../src/sip/message/bad-message.ts';
import type { SipMessage, SipResponse } from '../../../src/sip/message/message.ts';
import { parseDatagram } from '../../../src/sip/message/parse-message.ts';
import { mutate, seededRandom } from '../../fuzz/mutate.ts';
import { sipCorpus } from '../../fuzz/sip-target.ts';
import { authorization, inviteText, OFFER, type InviteOptions } from '../../helpers/sip-caller.ts';
import { flowTo, nameOf, openHost, SipNetwork } from '../../helpers/sip-network.ts';
import { silentLogger } from '../../../src/observe/logger.ts';

const GATEWAY = '10.0.0.1';
const PHONE = '10.0.0.2';
const STRANGER = '10.9.9.9';

interface Door {
  readonly network: SipNetwork;
  readonly agent: ReturnType<typeof openHost>;
  readonly steps: string[];
  readonly taken: CallSubject[];
  /** Thrown by the limits, and by the publication. */
  readonly failures: { limits?: GatewayError; publication?: GatewayError };
  /** Sends a request, and returns what is answered. */
  send(options?: InviteOptions, from?: string): Promise<SipResponse[]>;
  /** What is answered to it last, as `403 INVITE`. */
  answer(options?: InviteOptions, from?: string): Promise<string>;
}

const isPhone = (address: string): boolean => address === PHONE;

function openDoor(
  t: Test,
  callers: (network: SipNetwork) => Callers,
  streams: readonly string[] = [],
  asksServer = false,
): Door {
  const network = new SipNetwork();
  const host = openHost(network, GATEWAY, { onInvite: (request, flow) => incoming.take(request, flow) });
  const [steps, taken, failures]: [string[], CallSubject[], Door['failures']] = [[], [], {}];
  const incoming: IncomingCalls = new IncomingCalls({
    callers: callers(network),
    streams,
    asksServer,
    calls: {
      check: () => {
        steps.push('limits');
        if (failures.limits) throw failures.limits;
      },
      take: async (subject) => {
        taken.push(subject);
        await subject.rights?.publish();
        if (failures.publication) throw failures.publication;
      },
    },
    layer: host.layer,
    plant: {
      agent: host.agent,
      clock: network.clock,
      codecs: CODEC_NAMES,
      srtp: 'off',
      hold: () => () => undefined,
    } as never,
    authorizer: {
      identify: async ({ door, username, ip }) => ({ id: `${door} ${username} ${ip}`, actions: new Set() }),
      authorize: async ({ id }, action, resource) => {
        steps.push(`${id} ${action} ${resource?.stream}`);
        return {};
      },
    },
    logger: silentLogger,
  });
  const wires = new Map([PHONE, STRANGER].map((address) => [address, network.wire(address)]));
  const got: SipResponse[] = [];
  for (const wire of wires.values()) wire.on('message', (message) => message.kind === 'response' && got.push(message));
  let calls = 0;
  const send: Door['send'] = async (options, from = PHONE) => {
    const before = got.length;
    const callId = options?.callId ?? `call-${++calls}`;
    wires.get(from)!.send(Buffer.from(inviteText(`${from}:5060`, { ...options, callId })), flowTo(GATEWAY));
    network.clock.pass(50);
    await new Promise((resolve) => setImmediate(resolve));
    network.clock.pass(50);
    // Refusals that nobody acknowledges are repeated.
    return got.slice(before).filter((response) => response.callId === callId);
  };
  t.teardown(() => host.layer.close());
  return {
    network,
    agent: host,
    steps,
    taken,
    failures,
    send,
    answer: async (options, from) => {
      const last = (await send(options, from)).at(-1);
      return last ? nameOf(last) : 'nothing';
    },
  };
}

const trusted = (): Callers => ({ mode: 'trusted', includes: isPhone });

const digest =
  (more: Partial<ConstructorParameters<typeof DigestGate>[0]> = {}) =>
  (network: SipNetwork): Callers => ({
    mode: 'digest',
    includes: isPhone,
    gate: new DigestGate({
      users: new Map([['1001', new Secret('pw')]]),
      realm: 'gw',
      algorithm: 'MD5',
      failures: new FailedLogins(5, () => network.clock.now()),
      clock: network.clock,
      ...more,
    }),
  });

const challengeOf = (responses: readonly SipResponse[]): string => responses.at(-1)!.get('www-authenticate')!;

t.test('a call of a trusted address rings, and its stream is the called user', async (t) => {
  const door = openDoor(t, trusted);
  t.equal(await door.answer({ from: '"Ann" <sip:+49301@example.com>' }), '100 INVITE');
  t.match(door.taken, [
    {
      incoming: true,
      streamName: 'studio',
      caller: '+49301',
      callee: 'studio',
      visibleName: 'Ann',
      hasAudio: true,
      hasVideo: false,
      clientAddress: PHONE,
      principalId: 'sip:+49301',
      resumeKey: 'sip from +49301 +49301',
    },
  ]);
  t.same(door.steps, ['limits', 'sip:+49301 publish studio']);
  t.equal(await door.answer({ from: '<sip:10.0.0.2>', uri: 'sip:studio2@10.0.0.1' }), '100 INVITE');
  t.equal(door.taken[1]!.resumeKey, undefined, 'anybody could be anonymous');

  t.equal(door.agent.agent.size, 2);
});

t.test('names: of the Request-URI, of ;stream=, escaped, not valid, and not allowed', async (t) => {
  const door = openDoor(t, trusted, ['studio*', 'a b']);
  for (const [uri, answer] of [
    ['sip:studio7@10.0.0.1', '100 INVITE'],
    ['sip:any@10.0.0.1;stream=studio8', '100 INVITE'],
    ['sip:a%20b@10.0.0.1', '100 INVITE'],
    ['sip:other@10.0.0.1', '404 INVITE'],
    ['sip:10.0.0.1', '404 INVITE'],
    ['sip:studio%0D%0A@10.0.0.1', '404 INVITE'],
    ['sip:studio%ZZ@10.0.0.1', '404 INVITE'],
    [`sip:studio${'x'.repeat(250)}@10.0.0.1`, '100 INVITE'],
    [`sip:studio${'x'.repeat(251)}@10.0.0.1`, '404 INVITE'],
    ['tel:studio', '404 INVITE'],
  ] as const)
    t.equal(await door.answer({ uri }), answer, uri);
  t.same(door.taken.map(({ streamName }) => streamName).slice(0, 3), ['studio7', 'studio8', 'a b']);
});

t.test('strangers get no answer, and what is refused leaves nothing behind', async (t) => {
  const door = openDoor(t, trusted, ['studio']);
  t.equal(await door.answer({}, STRANGER), 'nothing');
  const cases: [InviteOptions, string][] = [
    [{ method: 'REGISTER' }, '405 REGISTER'],
    [{ method: 'MESSAGE' }, '405 MESSAGE'],
    [{ method: 'OPTIONS' }, '200 OPTIONS'],
    [{ method: 'CANCEL' }, '481 CANCEL'],
    [{ method: 'BYE', to: '<sip:studio@10.0.0.1>;tag=x' }, '481 BYE'],
    [{ headers: ['Contact: <sip:second@10.0.0.2>'] }, '400 INVITE'],
    [{ headers: ['Record-Route: <sip:without-an-end'] }, '400 INVITE'],
    [{ uri: 'sip:other@10.0.0.1' }, '404 INVITE'],
    [{ headers: ['Require: 100rel, precondition'] }, '420 INVITE'],
    [{ headers: ['Session-Expires: 60'] }, '422 INVITE'],
    [{ type: 'multipart/mixed' }, '415 INVITE'],
    [{ sdp: 'v=0' }, '488 INVITE'],
    [{ sdp: OFFER.replace('RTP/AVP 0 8', 'RTP/AVP 9 18') }, '488 INVITE'],
    [{ sdp: OFFER.replace('RTP/AVP', 'UDP/TLS/RTP/SAVPF') }, '488 INVITE'],
  ];
  for (const [options, answer] of cases) t.equal(await door.answer(options), answer, answer);
  const [refusal] = await door.send({ sdp: 'v=0' });
  t.match(refusal!.get('warning'), /^304 /);
  t.match((await door.send({ headers: ['Require: x'] }))[0]!.get('unsupported'), 'x');
  t.same([door.agent.layer.size, door.agent.agent.size, door.taken.length], [0, 0, 0]);
  t.equal(door.network.clock.timers, 0);
});

t.test('limits come before the name, and the name before the codecs', async (t) => {
  const door = openDoor(t, trusted, ['studio']);
  door.failures.limits = new GatewayError('LIMIT_REACHED', 'full');
  const [full] = await door.send({ uri: 'sip:other@10.0.0.1', sdp: 'v=0' });
  t.match([full!.status, full!.get('retry-after')], [503, '30']);
  delete door.failures.limits;
  t.equal(await door.answer({ uri: 'sip:other@10.0.0.1', sdp: 'v=0' }), '404 INVITE');
  t.equal(await door.answer({ sdp: 'v=0' }), '488 INVITE');
});

t.test('what the publication says becomes a status', async (t) => {
  const door = openDoor(t, trusted);
  for (const [error, status] of [
    [new GatewayError('STREAM_NAME_IN_USE', ''), 486],
    [new GatewayError('FORBIDDEN', ''), 403],
    [new GatewayError('TOKEN_EXPIRED', ''), 403],
    [new GatewayError('SHUTTING_DOWN', ''), 480],
    [new GatewayError('OVERLOADED', '', { retryAfterS: 5 }), 503],
    [new GatewayError('LIMIT_REACHED', ''), 503],
    [new GatewayError('NO_COMMON_CODECS', ''), 488],
    [new GatewayError('INTERNAL', ''), 500],
  ] as const) {
    door.failures.publication = error;
    const answers = await door.send();
    t.same(
      answers.map((one) => one.status),
      [100, status],
      error.code,
    );
    if (status === 503) t.equal(answers[1]!.get('retry-after'), error.code === 'OVERLOADED' ? '5' : '30');
  }
  t.equal(door.agent.agent.size, 0);
});

t.test('an application server is asked about the caller', async (t) => {
  const door = openDoor(t, trusted, [], true);
  await door.send();
  t.same(door.steps, ['limits', `sip 1001 ${PHONE} publish studio`]);
  t.match(door.taken, [{ principalId: 'sip:1001' }]);
});

t.test('registered: only to the Contact of an account, from its registrar', async (t) => {
  const door = openDoor(t, () => ({
    mode: 'registered',
    registrations: {
      accepts: ({ address }, user) =>
        address === PHONE && /^secret\d$/.test(user)
          ? { account: `2000@pbx${user.at(-1)}`, stream: user === 'secret1' ? 'webinar' : undefined }
          : undefined,
    },
  }));
  t.equal(await door.answer({ uri: 'sip:secret1@10.0.0.1' }), '100 INVITE');
  t.equal(await door.answer({ uri: 'sip:secret2@10.0.0.1', to: '<sip:2000@pbx>' }), '100 INVITE');
  t.equal(await door.answer({ uri: 'sip:guess@10.0.0.1' }), '403 INVITE');
  t.match(door.taken, [
    { streamName: 'webinar', principalId: 'sip:2000@pbx1', callee: 'studio' },
    { streamName: '2000', principalId: 'sip:2000@pbx2', callee: '2000' },
  ]);
});

t.test('digest: one challenge, then the call; each answer to a challenge counts once', async (t) => {
  const door = openDoor(t, digest());
  t.equal(await door.answer({}, STRANGER), 'nothing');
  const challenged = await door.send();
  t.equal(challenged.length, 1);
  t.equal(challenged[0]!.all('www-authenticate').length, 1);
  t.match(challengeOf(challenged), /^Digest realm="gw", nonce="[^"]+", algorithm=MD5, qop="auth"$/);
  t.same([door.agent.layer.size, door.network.clock.timers, door.steps.length], [0, 0, 0]);
  const nonce = challengeOf(challenged);
  const right = authorization(nonce, { username: '1001', password: 'pw' });
  t.equal(await door.answer({ headers: [right] }), '100 INVITE');
  t.match(door.taken, [{ principalId: 'sip:1001', caller: '1001' }]);
  const again = await door.send({ headers: [right] });
  t.match(challengeOf(again), /stale=true$/, 'the same nc is not taken twice');
  const next = authorization(nonce, { username: '1001', password: 'pw', nc: '00000002', uri: 'sip:before.a.proxy' });
  t.equal(await door.answer({ headers: [next] }), '100 INVITE');
  door.network.clock.pass(61_000);
  const late = authorization(nonce, { username: '1001', password: 'pw', nc: '00000003' });
  t.match(challengeOf(await door.send({ headers: [late] })), /stale=true$/, 'a nonce is good for 60 s');
});

t.test('digest: the same answer to an unknown user, a wrong password and incomplete credentials', async (t) => {
  const door = openDoor(t, digest({ failures: { waitMs: () => 0, add: () => undefined } }));
  const user = { username: '1001', password: 'pw' };
  const nonce = challengeOf(await door.send());
  const wrong = [
    authorization(nonce, { ...user, password: 'guess' }),
    authorization(nonce, { username: '4711', password: 'pw' }),
    authorization(nonce, { ...user, fields: { qop: 'auth-int' } }),
    authorization(nonce, { ...user, fields: { algorithm: 'SHA-256' } }),
    authorization(nonce, { ...user, fields: { response: '' } }),
    authorization(nonce, { ...user, nc: '1' }),
    authorization(nonce, { ...user, fields: { uri: 'sip:other@10.0.0.1' } }),
  ];
  const answers = [];
  for (const header of wrong) {
    const [answer] = await door.send({ headers: [header], callId: 'same', branch: 'same' });
    answers.push(
      answer!
        .toBuffer()
        .toString()
        .replace(/;tag=[0-9a-f]{24}/, ''),
    );
  }
  t.match(answers[0], /^SIP\/2.0 403 /);
  t.equal(new Set(answers).size, 1);
  const forged = authorization(nonce.replace(/nonce="[^-]+/, 'nonce="zzzz'), user);
  t.match(challengeOf(await door.send({ headers: [forged] })), /stale=true$/);
  const first = authorization(nonce, { ...user, nc: '00000000' });
  t.match(challengeOf(await door.send({ headers: [first] })), /stale=true$/);
  t.equal(door.taken.length, 0);
});

t.test('digest: wrong passwords block the address, the right one too', async (t) => {
  const door = openDoor(t, digest());
  const nonce = challengeOf(await door.send());
  const guess = (password: string, nc: string) =>
    door.answer({ headers: [authorization(nonce, { username: '1001', password, nc })] });
  for (let i = 0; i < 5; i++) t.equal(await guess('guess', '00000001'), '403 INVITE');
  t.equal(await guess('pw', '00000001'), '403 INVITE');
  door.network.clock.pass(60_000);
  const fresh = challengeOf(await door.send());
  t.equal(
    await door.answer({ headers: [authorization(fresh, { username: '1001', password: 'pw' })] }),
    '100 INVITE',
    'after a minute',
  );
});

t.test('digest: SHA-256 and SHA-512-256', async (t) => {
  for (const [algorithm, hash] of [
    ['SHA-256', 'sha256'],
    ['SHA-512-256', 'sha512-256'],
  ] as const) {
    const door = openDoor(t, digest({ algorithm }));
    const nonce = challengeOf(await door.send());
    t.match(nonce, `algorithm=${algorithm},`);
    const header = authorization(nonce, { username: '1001', password: 'pw', hash });
    t.equal(await door.answer({ headers: [header] }), '100 INVITE');
  }
});

t.test('mutated requests cause no exception, and leave nothing without credentials', async (t) => {
  const seed = Number(process.env['SEED'] ?? 1);
  const runs = Number(process.env['RUNS'] ?? 2000);
  const corpus = sipCorpus();
  for (const callers of [trusted, digest()]) {
    const door = openDoor(t, callers);
    const { wire, layer } = door.agent;
    for (let run = 0; run < runs; run++) {
      let message: SipMessage;
      try {
        message = parseDatagram(mutate(corpus, 0, seededRandom(seed + run)));
      } catch (error) {
        if (error instanceof BadMessage) continue;
        throw error;
      }
      try {
        wire.emit('message', message, flowTo(PHONE));
      } catch (error) {
        t.fail(`seed ${seed + run}: ${String(error)}`);
      }
      door.network.clock.pass(100);
    }
    if (callers === trusted) t.ok(door.taken.length > 0, `${door.taken.length} calls`);
    else t.same([door.taken.length, layer.size, door.network.clock.timers], [0, 0, 0]);
    layer.close();
  }
});
