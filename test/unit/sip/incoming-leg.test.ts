import t from 'tap';
import type { IncomingLeg } from '../../../src/sip/dialog/incoming-leg.ts';
import type { LegEnd } from '../../../src/sip/dialog/leg-end.ts';
import type { SipMessage, SipRequest, SipResponse } from '../../../src/sip/message/message.ts';
import { respond } from '../../../src/sip/message/message.ts';
import { inviteText, OFFER, type InviteOptions } from '../../helpers/sip-caller.ts';
import { flowTo, nameOf, openHost, SipNetwork } from '../../helpers/sip-network.ts';

const GATEWAY = '10.0.0.1';
const PHONE = '10.0.0.2';
const TRUNK = '10.0.0.3';
const INVITE: InviteOptions = { callId: 'c', branch: 'invite' };

/** A telephone that sends what it is told to calls a host, which rings. */
function ringing(invite: InviteOptions = {}) {
  const network = new SipNetwork();
  let leg: IncomingLeg | undefined;
  let end: LegEnd | undefined;
  const host = openHost(network, GATEWAY, {
    onInvite: (request, flow) => {
      leg = host.agent.take(host.layer.accept(request, flow)!, host.media, 'contact');
      leg.once('ended', (why) => (end = why));
      leg.ring();
    },
    isTrunk: (address) => address === TRUNK,
  });
  const phone = network.wire(PHONE);
  const got: SipMessage[] = [];
  phone.on('message', (message, flow) => {
    got.push(message);
    if (message.kind === 'request') phone.send(respond(message, 200).toBuffer(), flow);
  });
  const send = (options: InviteOptions): void => {
    phone.send(Buffer.from(inviteText(`${PHONE}:5060`, { callId: 'c', ...options })), flowTo(GATEWAY));
    network.clock.pass(50);
  };
  send({ ...INVITE, ...invite });
  const responses = (name: string): SipResponse[] =>
    got.filter((message): message is SipResponse => message.kind === 'response' && nameOf(message) === name);
  const requests = (method: string): SipRequest[] =>
    got.filter((message): message is SipRequest => message.kind === 'request' && message.method === method);
  /** Of a request in the dialog. */
  const to = (): string => `<sip:studio@10.0.0.1>;tag=${leg!.dialog.options.localTag}`;
  return { network, host, leg: leg!, got, send, responses, requests, to, end: () => end };
}

const acknowledge = (call: ReturnType<typeof ringing>, sdp = ''): void =>
  call.send({ method: 'ACK', branch: 'ack', to: call.to(), sdp });

t.test('a reliable 180 is repeated until its PRACK', async (t) => {
  const call = ringing({ headers: ['Require: 100rel'] });
  call.network.clock.pass(2000);
  const rings = call.responses('180 INVITE');
  t.equal(rings.length, 3, 'after 0, 0.5 and 1.5 s');
  const rseq = rings[0]!.get('rseq')!;
  t.match(rings[0]!.get('require'), '100rel');
  t.equal(new Set(rings.map((one) => one.get('rseq'))).size, 1);
  call.send({ method: 'PRACK', cseq: 2, to: call.to(), sdp: '', headers: [`RAck: ${Number(rseq) + 1} 1 INVITE`] });
  t.equal(call.responses('481 PRACK').length, 1, 'of another response');
  call.send({ method: 'PRACK', cseq: 3, to: call.to(), sdp: '', headers: [`RAck: ${rseq} 1 INVITE`] });
  t.equal(call.responses('200 PRACK').length, 1);
  const before = call.responses('180 INVITE').length;
  call.network.clock.pass(60_000);
  t.equal(call.responses('180 INVITE').length, before);
  call.leg.accept('answer');
  call.network.clock.pass(50);
  t.equal(call.responses('200 INVITE')[0]!.body.toString(), 'answer');
});

t.test('a caller that does not acknowledge a reliable 180 is refused', async (t) => {
  const call = ringing({ headers: ['Require: 100rel'] });
  call.network.clock.pass(31_000);
  t.equal(call.responses('500 INVITE').length, 0);
  call.network.clock.pass(1000);
  t.ok(call.responses('500 INVITE').length > 0);
  t.match(call.end(), { by: 'local' });
});

t.test('without Require a 180 is not reliable; without an offer there is no reliable one', async (t) => {
  const plain = ringing({ headers: ['Supported: 100rel'] });
  plain.network.clock.pass(5000);
  t.equal(plain.responses('180 INVITE').length, 1);
  t.equal(plain.responses('180 INVITE')[0]!.get('rseq'), undefined);
  plain.send({ method: 'PRACK', cseq: 2, to: plain.to(), sdp: '', headers: ['RAck: 1 1 INVITE'] });
  t.equal(plain.responses('481 PRACK').length, 1);
  t.equal(ringing({ headers: ['Require: 100rel'], sdp: '' }).got.length, 0);
});

t.test('CANCEL and BYE before the answer end the INVITE with 487', async (t) => {
  const cancelled = ringing();
  cancelled.send({ method: 'CANCEL', branch: 'invite', sdp: '' });
  t.same(cancelled.got.slice(-2).map(nameOf).sort(), ['200 CANCEL', '487 INVITE']);
  t.match(cancelled.end(), { by: 'peer', cause: 'cancelled' });
  cancelled.send({ method: 'ACK', branch: 'invite', sdp: '', to: cancelled.to() });
  cancelled.leg.accept('too late');
  cancelled.network.clock.pass(40_000);
  t.equal(cancelled.responses('200 INVITE').length, 0);
  t.equal(cancelled.host.layer.size, 0, 'nothing is left');

  const ended = ringing();
  ended.send({ method: 'BYE', cseq: 2, to: ended.to(), sdp: '' });
  t.same(ended.got.slice(-2).map(nameOf).sort(), ['200 BYE', '487 INVITE']);
  t.match(ended.end(), { by: 'peer' });
});

t.test('an INVITE without an offer: ours is in the 200, and the answer in the ACK', async (t) => {
  const call = ringing({ sdp: '' });
  let acknowledged = 0;
  call.leg.on('acknowledged', () => acknowledged++);
  t.equal(call.leg.offer, undefined);
  call.leg.accept('our offer');
  call.network.clock.pass(1200);
  t.same(
    call.responses('200 INVITE').map(({ body }) => body.toString()),
    ['our offer', 'our offer'],
    'repeated without an ACK',
  );
  acknowledge(call, OFFER);
  t.same([call.host.media.answers, acknowledged], [[OFFER], 1]);
  call.network.clock.pass(40_000);
  t.ok(call.leg.isEstablished);

  const without = ringing({ sdp: '' });
  without.leg.accept('our offer');
  without.network.clock.pass(50);
  acknowledge(without);
  without.network.clock.pass(50);
  t.equal(without.requests('BYE').length, 1, 'an ACK without an answer ends the call');
  t.match(without.end(), { by: 'silence' });
});

t.test('without an ACK the 200 is repeated for 32 s, then the call ends with BYE', async (t) => {
  const call = ringing();
  call.leg.accept('answer');
  call.network.clock.pass(31_000);
  t.same([call.responses('200 INVITE').length, call.requests('BYE').length], [10, 0]);
  call.network.clock.pass(2000);
  t.equal(call.requests('BYE').length, 1);
  t.match(call.end(), { by: 'silence' });
});

t.test('the gateway gives up in each state', async (t) => {
  const early = ringing();
  early.leg.giveUp();
  early.leg.giveUp();
  early.network.clock.pass(50);
  t.equal(early.responses('480 INVITE').length, 1);
  const waiting = ringing();
  waiting.leg.accept('answer');
  waiting.leg.giveUp();
  waiting.network.clock.pass(5000);
  t.equal(waiting.requests('BYE').length, 0, 'no BYE before the ACK');
  acknowledge(waiting);
  waiting.network.clock.pass(50);
  t.equal(waiting.requests('BYE').length, 1);
  t.match(waiting.end(), { by: 'local' });
  const late = ringing();
  late.leg.accept('answer');
  late.network.clock.pass(50);
  acknowledge(late);
  late.leg.giveUp();
  late.network.clock.pass(50);
  t.equal(late.requests('BYE').length, 1);
  t.equal(late.requests('BYE')[0]!.get('to'), `<sip:1001@${PHONE}:5060>;tag=f`);
});

t.test('requests of the call come from another address of the trunk, but not from elsewhere', async (t) => {
  const call = ringing();
  call.leg.accept('answer');
  call.network.clock.pass(50);
  acknowledge(call);
  for (const [address, answers] of [
    ['10.0.0.4', []],
    [TRUNK, ['200 BYE']],
  ] as const) {
    const other = call.network.wire(address);
    const got: string[] = [];
    other.on('message', (message) => got.push(nameOf(message)));
    const bye = inviteText(`${address}:5060`, { callId: 'c', method: 'BYE', cseq: 2, to: call.to(), sdp: '' });
    other.send(Buffer.from(bye), flowTo(GATEWAY));
    call.network.clock.pass(50);
    t.same(got, answers, address);
  }
  t.match(call.end(), { by: 'peer' });
});
