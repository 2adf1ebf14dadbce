import t, { type Test } from 'tap';
import type { TestGateway } from '../helpers/gateway.ts';
import { callOver, callReached, noSipp, startSipGateway } from '../helpers/sip-peers.ts';
import {
  accept,
  acknowledge,
  answer,
  answered,
  hungUp,
  invite,
  inviteOf,
  ok,
  receive,
  refuse,
  request,
  sdp,
  startSipp,
  told,
  type Sipp,
} from '../helpers/sipp.ts';
import { waitFor } from '../helpers/wait.ts';

/** What servers and telephones answer to a call, played by SIPp. It fails at each message that its scenario does not expect. */

const ANSWER_TIMEOUT_S = 8;
/** Ports and transactions live on for 32 s after a call. */
const DRAIN_TIMEOUT = 60_000;

let gateway: TestGateway;

t.before(async () => {
  if (noSipp) return;
  gateway = await startSipGateway({ sip_answer_timeout_s: ANSWER_TIMEOUT_S, max_calls_per_minute: 1000 });
});
t.teardown(() => gateway?.stop());

async function peer(t: Test, steps: readonly string[]): Promise<Sipp> {
  const sipp = await startSipp(steps);
  t.teardown(() => sipp.stop());
  return sipp;
}

let calls = 0;
async function start(sipp: Sipp, account: Record<string, unknown> = {}): Promise<string> {
  const callId = `call-${++calls}`;
  const body = { callId, callee: `sip:1001@127.0.0.1:${sipp.port}`, toStream: callId, hasVideo: false, ...account };
  // A machine that is busy with other tests refuses new streams for some seconds.
  const { status, text } = await waitFor(
    'the start of the call',
    async () => {
      const one = await gateway.rest('/call/startup', body);
      return one.status === 503 ? undefined : one;
    },
    { timeout: 30_000, every: 500 },
  );
  if (status !== 200) throw new Error(`${status} ${text}`);
  return callId;
}

const account = (sipp: Sipp, sipPassword: string) => ({
  callee: '1001',
  sipLogin: '2000',
  sipPassword,
  sipDomain: '127.0.0.1',
  sipPort: sipp.port,
});

/** SIPp goes on at an INFO. */
async function tell(t: Test, callId: string): Promise<void> {
  t.equal((await gateway.rest('/call/send_dtmf', { callId, dtmf: '1', type: 'INFO' })).status, 200);
}

async function terminate(t: Test, callId: string): Promise<void> {
  t.equal((await gateway.rest('/call/terminate', { callId })).status, 200);
}

/** The call has ended like this, its scenario was played to its end, and the stream is gone. */
async function isOver(t: Test, sipp: Sipp, callId: string, end: Record<string, unknown>): Promise<void> {
  t.match(await callOver(gateway, callId), end);
  t.equal(await sipp.failure(), '');
  t.equal((await gateway.rest('/call/find_all')).status, 404, 'no call is left');
  const { body } = await gateway.http('/api/v1/streams');
  t.same(body, [], 'no stream is left');
}

const skip = { skip: noSipp };
const FINISH = { status: 'FINISH', reasonCode: 'STREAM_STOPPED' };

for (const [status, reason, end, headers] of [
  [302, 'Moved Temporarily', { reasonCode: 'SIP_REDIRECTED' }, ['Contact: <sip:+19005550100@127.0.0.1:5999>']],
  [403, 'Forbidden', { reasonCode: 'SIP_AUTH_FAILED' }],
  [404, 'Not Found', { reasonCode: 'SIP_NOT_FOUND' }],
  [486, 'Busy Here', { reasonCode: 'SIP_BUSY', status: 'BUSY' }],
  [
    488,
    'Not Acceptable Here',
    { reasonCode: 'NO_COMMON_CODECS', reason: /Media type/ },
    ['Warning: 304 x "Media type"'],
  ],
  [503, 'Service Unavailable', { reasonCode: 'SIP_REJECTED', reason: /retry after 30 s/ }, ['Retry-After: 30']],
  [603, 'Decline', { reasonCode: 'SIP_REJECTED' }],
] as const)
  void t.test(`${status} ${reason}`, skip, async (t) => {
    const sipp = await peer(t, [invite(), ...refuse(status, reason, headers && { headers })]);
    await isOver(t, sipp, await start(sipp), { status: 'FAILED', sipStatus: status, ...end });
  });

const challenge = (status: 401 | 407, nonce: string): string[] => {
  const [header, reason] =
    status === 401 ? ['WWW-Authenticate', 'Unauthorized'] : ['Proxy-Authenticate', 'Proxy Authentication Required'];
  return refuse(status, reason!, {
    tag: nonce,
    headers: [`${header}: Digest realm="sip.test", nonce="${nonce}", algorithm=MD5`],
  });
};

for (const status of [401, 407] as const)
  void t.test(`${status}, with the right password, a wrong one and none`, skip, async (t) => {
    const right = await peer(t, [
      invite(),
      ...challenge(status, 'n1'),
      // SIPp proves no credentials for proxies.
      ...(status === 401
        ? inviteOf('2000', 'secret')
        : [invite({ header: 'Proxy-Authorization:', pattern: 'username="2000", realm="sip.test", nonce="n1"' })]),
      ...accept(),
      ...hungUp(),
    ]);
    const callId = await start(right, account(right, 'secret'));
    await callReached(gateway, callId, 'ESTABLISHED');
    await terminate(t, callId);
    await isOver(t, right, callId, { ...FINISH, sipStatus: 200 });

    const failed = { status: 'FAILED', reasonCode: 'SIP_AUTH_FAILED', sipStatus: status };
    const wrong = await peer(t, [invite(), ...challenge(status, 'n1'), invite(), ...challenge(status, 'n2')]);
    await isOver(t, wrong, await start(wrong, account(wrong, 'guess')), failed);

    const none = await peer(t, [invite(), ...challenge(status, 'n1')]);
    await isOver(t, none, await start(none), failed);
    t.notMatch(gateway.logs(), /secret|guess/, 'no password in the log');
  });

void t.test('422 makes the session longer', skip, async (t) => {
  const sipp = await peer(t, [
    invite({ header: 'Session-Expires:', pattern: '1800' }),
    ...refuse(422, 'Session Interval Too Small', { headers: ['Min-SE: 3600'], tag: 'first' }),
    invite({ header: 'Session-Expires:', pattern: '3600' }),
    ...accept({ headers: ['Session-Expires: 3600;refresher=uac', 'Require: timer'] }),
    ...hungUp(),
  ]);
  const callId = await start(sipp);
  await callReached(gateway, callId, 'ESTABLISHED');
  await terminate(t, callId);
  await isOver(t, sipp, callId, { ...FINISH, sipStatus: 200 });
});

const sentMessages = async (): Promise<number> => {
  const { text } = await gateway.http('/metrics');
  return Number(/^gateway_sip_messages_total\{result="sent"\} (\d+)$/m.exec(text)![1]);
};

const cancelled = (): string[] => [receive('CANCEL'), ok(), answer(487, 'Request Terminated'), receive('ACK')];

void t.test('no answer', skip, async (t) => {
  const sipp = await peer(t, [invite(), answer(180, 'Ringing'), ...cancelled()]);
  await isOver(t, sipp, await start(sipp), { status: 'FAILED', reasonCode: 'SIP_NO_ANSWER', sipStatus: 180 });
});

void t.test('CANCEL waits for the first provisional response', skip, async (t) => {
  const sipp = await peer(t, [invite(), answer(180, 'Ringing'), ...cancelled()]);
  sipp.freeze();
  const before = await sentMessages();
  const callId = await start(sipp);
  await waitFor('the INVITE', async () => (await sentMessages()) > before);
  await terminate(t, callId);
  t.match(await callOver(gateway, callId), { ...FINISH, sipStatus: 0 });
  sipp.resume();
  await isOver(t, sipp, callId, { ...FINISH, sipStatus: 0 });
});

for (const [title, message, status] of [
  ['180', { headers: [] }, 'RING'],
  ['183 with SDP', { sdp: sdp() }, 'RING_MEDIA'],
] as const)
  void t.test(`CANCEL after ${title}`, skip, async (t) => {
    const code = status === 'RING' ? 180 : 183;
    const sipp = await peer(t, [invite(), answer(code, 'Wait', message), ...cancelled()]);
    const callId = await start(sipp);
    await callReached(gateway, callId, status);
    await terminate(t, callId);
    await isOver(t, sipp, callId, { ...FINISH, sipStatus: code });
  });

void t.test('an answer that crosses the CANCEL is acknowledged and ended', skip, async (t) => {
  const sipp = await peer(t, [invite(), answer(180, 'Ringing'), receive('CANCEL'), ok(), ...accept(), ...hungUp()]);
  const callId = await start(sipp);
  await callReached(gateway, callId, 'RING');
  await terminate(t, callId);
  await isOver(t, sipp, callId, { ...FINISH, sipStatus: 180 });
});

void t.test('183 with SDP that asks for a PRACK', skip, async (t) => {
  const sipp = await peer(t, [
    invite(),
    answer(183, 'Session Progress', { sdp: sdp(), headers: ['Require: 100rel', 'RSeq: 7'] }),
    receive('PRACK', { header: 'RAck:', pattern: '7 1 INVITE' }),
    ok(),
    ...accept(),
    ...hungUp(),
  ]);
  const callId = await start(sipp);
  await callReached(gateway, callId, 'ESTABLISHED');
  await terminate(t, callId);
  await isOver(t, sipp, callId, { ...FINISH, sipStatus: 200 });
});

void t.test('the second branch of a fork is ended', skip, async (t) => {
  const sipp = await peer(t, [
    invite(),
    answer(200, 'OK', { sdp: sdp() }),
    receive('ACK'),
    answer(200, 'OK', { sdp: sdp(), tag: 'other' }),
    receive('ACK', { header: 'To:', pattern: 'tag=other' }),
    receive('BYE', { header: 'To:', pattern: 'tag=other' }),
    ok(),
    receive('BYE', { header: 'To:', pattern: 'tag=callee' }),
    ok(),
  ]);
  const logged = gateway.logs().length;
  const callId = await start(sipp);
  await callReached(gateway, callId, 'ESTABLISHED');
  await waitFor('the end of the second branch', () => /"200 \d+ BYE /.test(gateway.logs().slice(logged)));
  await terminate(t, callId);
  await isOver(t, sipp, callId, { ...FINISH, sipStatus: 200 });
});

void t.test('hold, resume, a re-INVITE without offer, and BYE with a reason', skip, async (t) => {
  const reinvite = (cseq: number, offer: string): string[] => [
    request('INVITE', cseq, { sdp: offer }),
    answered(200, { header: 'CSeq:', pattern: `${cseq} INVITE` }),
    acknowledge(cseq),
  ];
  const sipp = await peer(t, [
    invite(),
    ...accept(),
    ...told(),
    ...reinvite(1, sdp(2, { direction: 'sendonly' })),
    ...told(),
    ...reinvite(2, sdp(3)),
    ...told(),
    ...reinvite(3, sdp(4, { address: '0.0.0.0' })),
    ...told(),
    request('INVITE', 4),
    answered(200, { header: 'Content-Type:', pattern: 'application/sdp' }),
    acknowledge(4, { sdp: sdp(5) }),
    ...told(),
    request('BYE', 5, { headers: ['Reason: Q.850;cause=16;text="Normal call clearing"'] }),
    answered(200),
  ]);
  const callId = await start(sipp);
  for (const status of ['ESTABLISHED', 'HOLD', 'ESTABLISHED', 'HOLD', 'ESTABLISHED']) {
    await callReached(gateway, callId, status);
    t.pass(status);
    await tell(t, callId);
  }
  await isOver(t, sipp, callId, { status: 'FINISH', reasonCode: 'SIP_ENDED', reason: /cause=16/, sipStatus: 200 });
});

void t.test('the peer refreshes the session', skip, async (t) => {
  const refresh = { headers: ['Session-Expires: 90;refresher=uac', 'Supported: timer'] };
  const refreshed = { header: 'Session-Expires:', pattern: '90;refresher=uac' };
  const sipp = await peer(t, [
    invite({ header: 'Supported:', pattern: 'timer' }),
    ...accept({ headers: ['Session-Expires: 90;refresher=uas', 'Require: timer'] }),
    ...told(),
    request('UPDATE', 1, refresh),
    answered(200, refreshed),
    request('INVITE', 2, { ...refresh, sdp: sdp() }),
    answered(200, refreshed),
    acknowledge(2),
    request('BYE', 3),
    answered(200),
  ]);
  const callId = await start(sipp);
  await callReached(gateway, callId, 'ESTABLISHED');
  await tell(t, callId);
  await isOver(t, sipp, callId, { status: 'FINISH', reasonCode: 'SIP_ENDED', sipStatus: 200 });
});

void t.test('ports and transactions of all calls are given back', skip, async (t) => {
  const { text } = await waitFor(
    'the end of the drain',
    async () => {
      const metrics = await gateway.http('/metrics');
      const isClear = ['gateway_sip_ports', 'gateway_sip_transactions'].every((name) =>
        new RegExp(`^${name} 0$`, 'm').test(metrics.text),
      );
      return isClear ? metrics : undefined;
    },
    { timeout: DRAIN_TIMEOUT, every: 500 },
  );
  t.notMatch(text, /^gateway_calls\{.*\} [1-9]/m);
});
