import t from 'tap';
import type { LegEnd } from '../../../src/sip/dialog/leg-end.ts';
import type { IncomingLeg } from '../../../src/sip/dialog/incoming-leg.ts';
import type { OutgoingLeg } from '../../../src/sip/dialog/outgoing-leg.ts';
import { respond, type ResponseOptions, type SipMessage, type SipRequest } from '../../../src/sip/message/message.ts';
import { flowTo, nameOf, openHost, password, SipNetwork, type FakeHost } from '../../helpers/sip-network.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';
const SDP = 'application/sdp';

interface Pair {
  readonly network: SipNetwork;
  readonly a: FakeHost;
  readonly b: FakeHost;
  readonly ends: { a?: LegEnd; b?: LegEnd };
  readonly caller: OutgoingLeg;
  /** Set when the call has come. */
  readonly callee: () => IncomingLeg | undefined;
}

/** A calls B, which answers after a second. */
function dial({
  loses,
  answers = true,
  expiresS = 1800,
}: { loses?: SipNetwork['loses']; answers?: boolean; expiresS?: number } = {}): Pair {
  const network = new SipNetwork();
  if (loses) network.loses = loses;
  const ends: Pair['ends'] = {};
  let callee: IncomingLeg | undefined;
  const a = openHost(network, A);
  const b: FakeHost = openHost(network, B, {
    onInvite: (request, flow) => {
      const leg = b.agent.take(b.layer.accept(request, flow)!, b.media, 'b');
      callee = leg;
      leg.on('ended', (end) => (ends.b = end));
      leg.ring();
      if (answers) network.clock.after(1000, () => leg.accept(b.media.answer(leg.offer!)!));
    },
  });
  const caller = a.agent.call({
    flow: flowTo(B),
    localUri: 'sip:a@x',
    remoteUri: `sip:b@${B}`,
    credentials: undefined,
    media: a.media,
  });
  caller.on('ended', (end) => (ends.a = end));
  caller.invite('offer', expiresS);
  return { network, a, b, ends, caller, callee: () => callee };
}

/** A calls a peer that answers as `script` says. */
function dialScripted(
  script: (request: SipRequest, reply: (status: number, options?: ResponseOptions) => void, n: number) => void,
  options: { credentials?: boolean; permits?: (address: string) => boolean; offer?: string } = {},
) {
  const network = new SipNetwork();
  const a = openHost(network, A, options.permits && { permits: options.permits });
  const wire = network.wire(B);
  const counts = new Map<string, number>();
  const got: SipMessage[] = [];
  wire.on('message', (message, flow) => {
    got.push(message);
    if (message.kind !== 'request') return;
    const n = (counts.get(message.method) ?? 0) + 1;
    counts.set(message.method, n);
    script(message, (status, more = {}) => wire.send(respond(message, status, more).toBuffer(), flow), n);
  });
  const caller = a.agent.call({
    flow: flowTo(B),
    localUri: 'sip:a@x',
    remoteUri: `sip:b@${B}`,
    credentials: options.credentials ? { username: 'a', password: password('pw') } : undefined,
    media: a.media,
  });
  const events: string[] = [];
  let end: LegEnd | undefined;
  caller.on('progress', (status, sdp) => events.push(`${status}${sdp ? ' sdp' : ''}`));
  caller.on('answered', () => events.push('answered'));
  caller.on('ended', (why) => {
    end = why;
    events.push('ended');
  });
  caller.invite(options.offer ?? 'offer', 1800);
  const request = (method: string, cseq: number, headers: Record<string, string> = {}, body?: string): void => {
    const text = [
      `${method} sip:a@${A} SIP/2.0`,
      `Via: SIP/2.0/UDP ${B}:5060;branch=z9hG4bKs${cseq}${method}`,
      `From: <sip:b@${B}>;tag=T`,
      `To: <sip:a@x>;tag=${caller.dialog.options.localTag}`,
      `Call-ID: ${caller.dialog.options.callId}`,
      `CSeq: ${cseq} ${method}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      ...(body === undefined ? [] : [`Content-Type: ${SDP}`]),
      '',
      body ?? '',
    ].join('\r\n');
    wire.send(Buffer.from(text), flowTo(A));
  };
  return { network, a, wire, caller, events, got, request, end: () => end };
}

const ok: ResponseOptions = { toTag: 'T', headers: { contact: `<sip:b@${B}>` }, sdp: 'answer' };
const last = (messages: readonly SipMessage[], name: string): SipMessage | undefined =>
  messages.filter((message) => nameOf(message) === name).at(-1);

t.test('a call is established, and ended by each side', async (t) => {
  for (const by of ['caller', 'callee'] as const) {
    const { network, a, b, caller, callee, ends } = dial();
    network.clock.pass(2000);
    t.ok(caller.isEstablished && callee()?.isEstablished);
    t.same(b.media.offers, ['offer']);
    (by === 'caller' ? caller : callee()!).hangUp();
    network.clock.pass(1000);
    t.match(
      ends,
      by === 'caller' ? { a: { by: 'local' }, b: { by: 'peer' } } : { a: { by: 'peer' }, b: { by: 'local' } },
    );
    t.same([a.agent.size, b.agent.size], [0, 0]);
    network.clock.pass(300_000);
    t.same([a.layer.size, b.layer.size, network.clock.timers], [0, 0, 0], 'nothing is left');
  }
});

t.test('the loss of each message is repaired, in both roles', async (t) => {
  const messages = [
    [A, 'INVITE'],
    [B, '180 INVITE'],
    [B, '200 INVITE'],
    [A, 'ACK'],
    [A, 'BYE'],
    [B, '200 BYE'],
  ] as const;
  for (const [from, name] of messages)
    for (const times of [1, 3]) {
      let lost = 0;
      const loses = (message: SipMessage, sender: string): boolean =>
        sender === from && nameOf(message) === name && lost++ < times;
      const { network, caller, callee, ends } = dial({ loses });
      network.clock.pass(12_000);
      t.ok(caller.isEstablished && callee()?.isEstablished, `established without ${times} × ${name}`);
      caller.hangUp();
      network.clock.pass(12_000);
      t.match(ends, { a: { by: 'local' }, b: { by: 'peer' } }, `ended without ${times} × ${name}`);
    }
  let lost = 0;
  const { network, callee, ends } = dial({
    loses: (message, from) => from === B && nameOf(message) === 'BYE' && lost++ < 3,
  });
  network.clock.pass(2000);
  callee()!.hangUp();
  network.clock.pass(12_000);
  t.match(ends, { a: { by: 'peer' }, b: { by: 'local' } }, 'the BYE of the callee');
});

t.test('a peer that never answers ends the call, and a lost ACK too', async (t) => {
  const silent = dial({ loses: (_, from) => from === A });
  silent.network.clock.pass(33_000);
  t.match(silent.ends.a, { by: 'timeout' });
  t.equal(silent.network.lines.filter((line) => line === `${A} INVITE`).length, 7, 'timer A doubles');
  const noAck = dial({ loses: (message) => nameOf(message) === 'ACK' });
  noAck.network.clock.pass(40_000);
  t.match(noAck.ends, { a: { by: 'peer' }, b: { by: 'silence' } });
});

t.test('CANCEL: before a provisional response, after it, and crossing the answer', async (t) => {
  const early = dial({ answers: false });
  early.caller.cancel();
  t.same(early.network.lines, [`${A} INVITE`], 'not before a response');
  early.network.clock.pass(3000);
  t.match(early.ends, { a: { by: 'local' }, b: { by: 'peer', cause: 'cancelled' } });

  const late = dial({ answers: false });
  late.network.clock.pass(500);
  late.caller.cancel();
  late.network.clock.pass(1000);
  t.match(late.ends, { a: { by: 'local' }, b: { by: 'peer' } });
  t.ok(late.network.lines.includes(`${B} 487 INVITE`));
  t.ok(late.network.lines.includes(`${A} ACK`));

  const crossing = dial();
  crossing.network.clock.pass(1015);
  crossing.caller.cancel();
  crossing.network.clock.pass(2000);
  t.match(crossing.ends, { a: { by: 'local' }, b: { by: 'peer' } });
  t.ok(crossing.network.lines.includes(`${A} BYE`), 'the 200 is acknowledged, and the call ended');

  const unanswered = dialScripted((request, reply) => request.method === 'INVITE' && reply(180, { toTag: 'T' }));
  unanswered.network.clock.pass(100);
  unanswered.caller.cancel();
  unanswered.network.clock.pass(40_000);
  t.match(unanswered.end(), { by: 'timeout' }, 'a peer that ignores CANCEL does not keep the call');
});

t.test('refusals end the call with the status', async (t) => {
  for (const status of [302, 403, 404, 486, 488, 503, 603]) {
    const { network, end, got } = dialScripted(
      (request, reply) => request.method === 'INVITE' && reply(status, { toTag: 'T' }),
    );
    network.clock.pass(1000);
    t.match(end(), { by: 'refusal', response: { status } });
    t.equal(
      last(got, 'ACK')?.via.params.get('branch'),
      last(got, 'INVITE')?.via.params.get('branch'),
      'ACK of the transaction',
    );
  }
});

t.test('challenges of a proxy and of a server in one call are answered once each', async (t) => {
  const { network, caller, got } = dialScripted(
    (request, reply, n) => {
      if (request.method !== 'INVITE') return;
      if (n === 1) reply(407, { toTag: '1', headers: { 'proxy-authenticate': 'Digest realm="p", nonce="n1"' } });
      else if (n === 2)
        reply(401, { toTag: '2', headers: { 'www-authenticate': 'Digest realm="w", nonce="n2", qop="auth"' } });
      else if (n === 3)
        reply(401, {
          toTag: '3',
          headers: { 'www-authenticate': 'Digest realm="w", nonce="n3", qop="auth", stale=true' },
        });
      else reply(200, ok);
    },
    { credentials: true },
  );
  network.clock.pass(1000);
  t.ok(caller.isEstablished);
  const invites = got.filter((message) => nameOf(message) === 'INVITE');
  t.same(
    invites.map(({ cseq }) => cseq.number),
    [1, 2, 3, 4],
  );
  t.match(invites.at(-1)!.get('authorization'), /nonce="n3"/);
  t.ok(last(got, 'ACK')!.get('proxy-authorization'), 'the ACK has the credentials');

  for (const status of [401, 407]) {
    const wrong = dialScripted(
      (request, reply) =>
        request.method === 'INVITE' &&
        reply(status, {
          toTag: 'T',
          headers: { [status === 401 ? 'www-authenticate' : 'proxy-authenticate']: 'Digest realm="w", nonce="n"' },
        }),
      { credentials: true },
    );
    wrong.network.clock.pass(1000);
    t.match(wrong.end(), { by: 'refusal', response: { status } });
    t.equal(wrong.got.filter((message) => nameOf(message) === 'INVITE').length, 2, 'one try');
  }
});

t.test('an interval that is too short is replaced once', async (t) => {
  const { network, caller, got } = dialScripted((request, reply, n) => {
    if (request.method !== 'INVITE') return;
    if (n === 1) reply(422, { toTag: '1', headers: { 'min-se': '3600' } });
    else reply(200, ok);
  });
  network.clock.pass(1000);
  t.ok(caller.isEstablished);
  t.match(last(got, 'INVITE')!.get('session-expires'), /^3600;/);
  const endless = dialScripted(
    (request, reply) => request.method === 'INVITE' && reply(422, { toTag: '1', headers: { 'min-se': '99' } }),
  );
  endless.network.clock.pass(5000);
  t.match(endless.end(), { by: 'refusal', response: { status: 422 } });
});

t.test('the first answer of a fork has the call, the others are ended', async (t) => {
  const { network, caller, got } = dialScripted((request, reply) => {
    if (request.method === 'BYE') reply(200);
    if (request.method !== 'INVITE') return;
    reply(180, { toTag: 'T' });
    reply(180, { toTag: 'U' });
    reply(200, ok);
    reply(200, { ...ok, toTag: 'U' });
    reply(200, { ...ok, toTag: 'U' });
  });
  network.clock.pass(2000);
  t.ok(caller.isEstablished);
  t.equal(caller.dialog.remoteTag, 'T');
  t.same(
    got.filter((message) => nameOf(message) === 'BYE').map(({ to }) => to.params.get('tag')),
    ['U'],
  );
  t.same(
    got.filter((message) => nameOf(message) === 'ACK').map(({ to }) => to.params.get('tag')),
    ['T', 'U', 'U'],
  );
});

t.test('reliable provisional responses are acknowledged once each', async (t) => {
  const reliable = { toTag: 'T', headers: { require: '100rel', rseq: '7', contact: `<sip:b@${B}>` }, sdp: 'early' };
  const { network, events, got } = dialScripted((request, reply) => {
    if (request.method === 'PRACK') reply(200);
    if (request.method !== 'INVITE') return;
    reply(183, reliable);
    reply(183, reliable);
    network.clock.after(1000, () => reply(200, ok));
  });
  network.clock.pass(3000);
  t.same(events, ['183 sdp', '183 sdp', 'answered']);
  t.same(
    got.filter((message) => nameOf(message) === 'PRACK').map((message) => message.get('rack')),
    ['7 1 INVITE'],
  );
});

t.test('requests of the peer in a call', async (t) => {
  const { network, a, wire, got, request, events } = dialScripted(
    (message, reply) => message.method === 'INVITE' && reply(200, ok),
  );
  network.clock.pass(100);
  const answered = (name: string, method: string, cseq: number, headers = {}, body?: string): SipMessage => {
    request(method, cseq, headers, body);
    network.clock.pass(100);
    const message = got.at(-1)!;
    t.equal(nameOf(message), `${name} ${method}`);
    return message;
  };
  t.equal(answered('200', 'INVITE', 1, { contact: `<sip:new@${B}>` }, 'hold').body.toString(), `answer of ${A}`);
  request('ACK', 1);
  t.same(a.media.offers, ['hold']);
  t.equal(answered('200', 'INVITE', 2).body.toString(), `offer of ${A}`, 'without an offer');
  answered('500', 'INVITE', 3, {}, 'hold');
  request('ACK', 2, {}, 'answer of peer');
  network.clock.pass(100);
  t.same(a.media.answers, ['answer of peer']);
  t.equal(answered('200', 'UPDATE', 4).body.length, 0);
  t.ok(answered('200', 'UPDATE', 5, {}, 'moved').body.length > 0);
  t.match(
    answered('200', 'UPDATE', 6, { 'session-expires': '120;refresher=uac', supported: 'timer' }).get('session-expires'),
    '120;refresher=uac',
  );
  a.media.refuses = true;
  answered('488', 'INVITE', 7, {}, 'unusable');
  answered('200', 'INFO', 8);
  answered('200', 'OPTIONS', 9);
  answered('403', 'REFER', 10);
  answered('405', 'MESSAGE', 11);
  answered('500', 'INFO', 3);
  const before = got.length;
  network
    .wire('10.9.9.9')
    .send(
      Buffer.from(
        `BYE sip:a@${A} SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\nFrom: <sip:b@${B}>;tag=T\r\nTo: <sip:a@x>;tag=${last(got, 'INVITE')!.from.params.get('tag')}\r\nCall-ID: ${last(got, 'INVITE')!.callId}\r\nCSeq: 99 BYE\r\n\r\n`,
      ),
      flowTo(A),
    );
  network.clock.pass(100);
  t.equal(got.length, before);
  t.notOk(events.includes('ended'), 'a stranger cannot end the call');
  answered('200', 'BYE', 12, { reason: 'Q.850;cause=16' });
  t.ok(events.includes('ended'));
  t.equal(wire.listenerCount('message'), 1);
});

t.test('the session is refreshed by us, and ends when the peer should and does not', async (t) => {
  const ours = dialScripted((request, reply) => {
    if (request.method === 'INVITE')
      reply(200, { ...ok, headers: { ...ok.headers, 'session-expires': '120;refresher=uac', require: 'timer' } });
  });
  ours.network.clock.pass(190_000);
  t.equal(ours.got.filter((message) => nameOf(message) === 'INVITE').length, 4, 'refreshed every 60 s');
  t.ok(ours.caller.isEstablished);
  const theirs = dialScripted((request, reply) => {
    if (request.method === 'INVITE')
      reply(200, { ...ok, headers: { ...ok.headers, 'session-expires': '120;refresher=uas' } });
    else if (request.method === 'BYE') reply(200);
  });
  theirs.network.clock.pass(120_000);
  t.match(theirs.end(), { by: 'silence' });
});

t.test('two re-INVITEs at once: one is repeated', async (t) => {
  const { network, caller, got, request } = dialScripted((message, reply, n) => {
    if (message.method === 'INVITE') reply(n === 2 ? 491 : 200, ok);
  });
  network.clock.pass(100);
  caller.reinvite();
  request('INVITE', 1, {}, 'theirs');
  network.clock.pass(25);
  t.ok(got.some((message) => nameOf(message) === '491 INVITE'));
  network.clock.pass(5000);
  t.equal(got.filter((message) => nameOf(message) === 'INVITE').length, 3);
  t.ok(caller.isEstablished);
});

t.test('requests go to the Contact of the peer only where that is permitted', async (t) => {
  const script =
    (contact: string) => (request: SipRequest, reply: (status: number, options?: ResponseOptions) => void) =>
      request.method === 'INVITE' && reply(200, { ...ok, headers: { contact } });
  for (const [contact, expected] of [
    ['<sip:b@10.0.0.9:5090>', '10.0.0.9'],
    ['<sip:x@192.168.0.1:6379;transport=tcp>', B],
    ['<sip:x@name.example>', B],
    ['<tel:5>', B],
  ] as const) {
    const { network, caller } = dialScripted(script(contact), { permits: (address) => address === '10.0.0.9' });
    network.clock.pass(100);
    caller.hangUp();
    t.equal(network.sent.at(-1)!.to.address, expected, contact);
  }
});

t.test('a long request goes over TCP, and over UDP where TCP is refused', async (t) => {
  for (const refused of [false, true]) {
    const offer = 'x'.repeat(1500);
    const { network, caller } = dialScripted((request, reply) => request.method === 'INVITE' && reply(200, ok), {
      offer,
    });
    if (refused) network.refusesTcp.add(B);
    network.clock.pass(500);
    t.ok(caller.isEstablished);
    const protocols = network.sent.filter(({ message }) => nameOf(message) === 'INVITE').map(({ to }) => to.protocol);
    t.same(protocols, refused ? ['tcp', 'udp'] : ['tcp']);
  }
});

t.test('a refused connection ends the transaction at once', async (t) => {
  const network = new SipNetwork();
  network.refusesTcp.add(B);
  const a = openHost(network, A);
  const caller = a.agent.call({
    flow: flowTo(B, 'tls'),
    localUri: 'sip:a@x',
    remoteUri: 'sip:b@x',
    credentials: undefined,
    media: a.media,
  });
  let end: LegEnd | undefined;
  caller.on('ended', (why) => (end = why));
  caller.invite('offer', 0);
  network.clock.pass(50);
  t.match(end, { by: 'transport', kind: 'unreachable' });
});

t.test('responses from another address are dropped', async (t) => {
  const network = new SipNetwork();
  const a = openHost(network, A);
  network.wire(B);
  const stranger = network.wire('10.9.9.9');
  const caller = a.agent.call({
    flow: flowTo(B),
    localUri: 'sip:a@x',
    remoteUri: 'sip:b@x',
    credentials: undefined,
    media: a.media,
  });
  caller.invite('offer', 0);
  const invite = network.sent[0]!.message as SipRequest;
  stranger.send(respond(invite, 200, ok).toBuffer(), flowTo(A));
  network.clock.pass(100);
  t.notOk(caller.isEstablished);
  t.equal(a.layer.dropped, 1);
});

t.test('outside of calls: OPTIONS and refusals without state', async (t) => {
  const network = new SipNetwork();
  const a = openHost(network, A);
  const b = network.wire(B);
  const got: string[] = [];
  b.on('message', (message) => got.push(nameOf(message)));
  for (const method of ['OPTIONS', 'INVITE', 'MESSAGE', 'REGISTER', 'SUBSCRIBE'])
    b.send(
      Buffer.from(
        `${method} sip:a@${A} SIP/2.0\r\nVia: SIP/2.0/UDP ${B};branch=z9hG4bK${method}\r\nFrom: <sip:b@${B}>;tag=1\r\nTo: <sip:a@x>\r\nCall-ID: c\r\nCSeq: 1 ${method}\r\n\r\n`,
      ),
      flowTo(A),
    );
  b.send(
    Buffer.from(
      `BYE sip:a@${A} SIP/2.0\r\nVia: SIP/2.0/UDP ${B};branch=z9hG4bKb\r\nFrom: <sip:b@${B}>;tag=1\r\nTo: <sip:a@x>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n`,
    ),
    flowTo(A),
  );
  network.clock.pass(100);
  t.same(got, ['200 OPTIONS', '403 INVITE', '405 MESSAGE', '405 REGISTER', '405 SUBSCRIBE', '481 BYE']);
  t.equal(a.layer.size, 0);
});
