import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startApplicationServer } from '../helpers/application-server.ts';
import type { SettingsOverrides, TestGateway } from '../helpers/gateway.ts';
import { inviteText } from '../helpers/sip-caller.ts';
import { freePort } from '../helpers/server-process.ts';
import { callOver, noSipp, startSipGateway } from '../helpers/sip-peers.ts';
import {
  answered,
  call,
  callerRequest,
  credentials,
  established,
  gaveUp,
  got,
  hungUp,
  ok,
  receive,
  sdp,
  startSipp,
  told,
  type Sipp,
} from '../helpers/sipp.ts';
import { waitFor } from '../helpers/wait.ts';

/** What telephones send when they call the gateway, played by SIPp. It fails at each message that its scenario does not expect. */

const skip = { skip: noSipp };
const sipPort = await freePort();
let folder: string;
let gateway: TestGateway;

const settings = (port: number): SettingsOverrides => ({
  sip_port: port,
  sip_incoming: 'trusted',
  sip_incoming_networks: '127.0.0.1',
  sip_streams: 'studio*',
  max_calls_per_minute: 1000,
});

t.before(async () => {
  if (noSipp) return;
  folder = await mkdtemp(join(tmpdir(), 'sip-users-'));
  await writeFile(join(folder, 'users'), '1001:secret\n');
  gateway = await startSipGateway(settings(sipPort));
});
t.teardown(async () => {
  await gateway?.stop();
  if (folder) await rm(folder, { recursive: true });
});

async function caller(t: Test, steps: readonly string[], port = sipPort): Promise<Sipp> {
  const sipp = await startSipp(steps, { calls: port });
  t.teardown(() => sipp.stop());
  return sipp;
}

/** The call of a stream, when it is established. */
const callIdOf = (stream: string): Promise<string> =>
  waitFor(`the call of ${stream}`, async () => {
    const { body } = await gateway.http('/api/v1/calls');
    return (body as { callId: string; streamName: string; status: string }[]).find(
      (one) => one.streamName === stream && (one.status === 'ESTABLISHED' || one.status === 'HOLD'),
    )?.callId;
  });

const hasStatus = (callId: string, status: string): Promise<unknown> =>
  waitFor(`the call is ${status}`, async () => {
    const { body } = await gateway.rest('/call/find', { callId });
    return body[0]?.status === status;
  });

/** SIPp goes on at an INFO. */
const tell = async (t: Test, callId: string): Promise<void> =>
  void t.equal((await gateway.rest('/call/send_dtmf', { callId, dtmf: '1', type: 'INFO' })).status, 200);

/** No call and no stream is left. */
async function isClear(t: Test, sipp: Sipp): Promise<void> {
  t.equal(await sipp.failure(), '');
  await waitFor('the end of the call', async () => (await gateway.rest('/call/find_all')).status === 404);
  t.same((await gateway.http('/api/v1/streams')).body, []);
}

for (const [title, user, status, offer] of [
  ['a name that sip_streams does not allow', 'other', 404, sdp()],
  ['no common codec', 'studio', 488, sdp().replace('RTP/AVP 0', 'RTP/AVP 18')],
  ['no SDP that can be read', 'studio', 488, 'v=0'],
] as const)
  void t.test(`${status}: ${title}`, skip, async (t) => {
    await isClear(t, await caller(t, [call(user, { sdp: offer }), got(status), gaveUp(user)]));
  });

void t.test('a call that the caller ends, and one that REST ends', skip, async (t) => {
  const first = await caller(t, [
    call('studio', { sdp: sdp() }),
    ...established(),
    callerRequest('ACK', 1),
    ...told(),
    callerRequest('BYE', 2, { headers: ['Reason: Q.850;cause=16'] }),
    got(200),
  ]);
  const callId = await callIdOf('studio');
  await tell(t, callId);
  t.match(await callOver(gateway, callId), { status: 'FINISH', reasonCode: 'SIP_ENDED', reason: /cause=16/ });
  await isClear(t, first);
  const second = await caller(t, [
    call('studio;stream=studio-2', { sdp: sdp() }),
    ...established(),
    callerRequest('ACK', 1),
    ...hungUp(),
  ]);
  const other = await callIdOf('studio');
  t.equal((await gateway.rest('/call/terminate', { callId: other })).status, 200);
  t.match(await callOver(gateway, other), { status: 'FINISH', reasonCode: 'STREAM_STOPPED', caller: '1001' });
  await isClear(t, second);
});

void t.test('486: the name is in use; nothing has rung', skip, async (t) => {
  const first = await caller(t, [
    call('studio', { sdp: sdp() }),
    ...established(),
    callerRequest('ACK', 1),
    ...told(),
    callerRequest('BYE', 2),
    got(200),
  ]);
  const callId = await callIdOf('studio');
  const steps = [call('studio', { sdp: sdp() }), got(486), gaveUp('studio')];
  t.equal(await (await caller(t, steps)).failure(), '');
  await tell(t, callId);
  await isClear(t, first);
});

void t.test('hold, resume and UPDATE; a re-INVITE without offer', skip, async (t) => {
  const reinvite = (cseq: number, offer: string): string[] => [
    callerRequest('INVITE', cseq, { sdp: offer }),
    got(200),
    callerRequest('ACK', cseq),
    ...told(),
  ];
  const sipp = await caller(t, [
    call('studio', { sdp: sdp() }),
    ...established(),
    callerRequest('ACK', 1),
    ...told(),
    ...reinvite(2, sdp(2, { direction: 'sendonly' })),
    ...reinvite(3, sdp(3)),
    callerRequest('INVITE', 4),
    answered(200, { header: 'Content-Type:', pattern: 'application/sdp' }),
    callerRequest('ACK', 4, { sdp: sdp(4, { direction: 'sendonly' }) }),
    ...told(),
    callerRequest('UPDATE', 5, { sdp: sdp(5) }),
    got(200),
    ...told(),
    callerRequest('BYE', 6),
    got(200),
  ]);
  const callId = await callIdOf('studio');
  for (const status of ['ESTABLISHED', 'HOLD', 'ESTABLISHED', 'HOLD', 'ESTABLISHED']) {
    await hasStatus(callId, status);
    await tell(t, callId);
  }
  await isClear(t, sipp);
});

void t.test('an INVITE without an offer: the answer is in the ACK', skip, async (t) => {
  const sipp = await caller(t, [
    call('studio'),
    got(180),
    `<recv response="200" rrs="true"><action><ereg regexp="application/sdp" search_in="hdr" header="Content-Type:" check_it="true" assign_to="found"/></action></recv>`,
    callerRequest('ACK', 1, { sdp: sdp() }),
    ...told(),
    callerRequest('BYE', 2),
    got(200),
  ]);
  const callId = await callIdOf('studio');
  t.match((await gateway.rest('/call/find', { callId })).body, [
    { audioCodec: 'pcmu', hasAudio: true, hasVideo: false },
  ]);
  await tell(t, callId);
  await isClear(t, sipp);
});

void t.test('an INVITE that requires 100rel gets a reliable 180', skip, async (t) => {
  const sipp = await caller(t, [
    call('studio', { sdp: sdp(), headers: ['Require: 100rel'] }),
    `<recv response="180" rrs="true"><action><ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="found"/></action></recv>`,
    got(200),
    callerRequest('ACK', 1),
    ...told(),
    callerRequest('BYE', 2),
    got(200),
  ]);
  await tell(t, await callIdOf('studio'));
  await isClear(t, sipp);
});

void t.test('an answer that nobody acknowledges is repeated, and ended with BYE', skip, async (t) => {
  const sipp = await caller(t, [call('studio', { sdp: sdp() }), ...established(), receive('BYE'), ok()]);
  const callId = await callIdOf('studio');
  t.match(await callOver(gateway, callId, 60_000), { status: 'FAILED', reasonCode: 'SIP_UNREACHABLE' });
  t.equal(await sipp.failure(), '');
  // The stream is held for the return of the caller.
  await waitFor('the end of the stream', async () => (await gateway.http('/api/v1/streams')).body.length === 0, {
    timeout: 30_000,
    every: 500,
  });
});

void t.test('CANCEL before the answer', skip, async (t) => {
  const socket = connect(sipPort, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const request = (method: string, body: object): string =>
    inviteText('127.0.0.1:5060', {
      ...{ method, uri: 'sip:studio@127.0.0.1', branch: 'cancelled', callId: 'cancelled', ...body },
    }).replace('/UDP', '/TCP');
  // In one segment: the gateway reads both before it can answer.
  socket.write(request('INVITE', {}) + request('CANCEL', { sdp: '' }));
  await waitFor('487', () => text.includes('SIP/2.0 487'));
  t.same([...text.matchAll(/^SIP\/2\.0 (\d+)/gm)].map(([, status]) => status).sort(), ['100', '200', '487']);
  await waitFor('the end of the call', async () => (await gateway.rest('/call/find_all')).status === 404);
  const { body } = await gateway.http('/api/v1/calls?ended=true');
  t.match(body.at(-1), { incoming: true, status: 'FINISH', reasonCode: 'SIP_ENDED', reason: /cancelled/ });
});

void t.test('digest: a challenge, the right password, a wrong one, an unknown user', skip, async (t) => {
  const port = await freePort();
  const strict = await startSipGateway({
    ...settings(port),
    sip_incoming: 'digest',
    sip_users: join(folder, 'users'),
  });
  t.teardown(() => strict.stop());
  const tries = (user: string, password: string, end: readonly string[]): Promise<Sipp> =>
    caller(
      t,
      [
        call('studio', { sdp: sdp() }),
        got(401, ' auth="true"'),
        gaveUp('studio'),
        call('studio', { sdp: sdp(), headers: [credentials(user, password)] }, 2),
        ...end,
      ],
      port,
    );
  const refused = [got(403), gaveUp('studio', 2)];
  for (const [user, password] of [
    ['1001', 'guess'],
    ['nobody', 'secret'],
  ] as const)
    t.equal(await (await tries(user, password, refused)).failure(), '');
  t.same((await strict.http('/api/v1/calls?ended=true')).body, [], 'there was no call');
  const end = [...established(), callerRequest('ACK', 2), callerRequest('BYE', 3), got(200)];
  t.equal(await (await tries('1001', 'secret', end)).failure(), '');
  await waitFor('the call', async () => (await strict.http('/api/v1/calls?ended=true')).body.length === 1);
  t.notMatch(strict.logs(), /secret|guess/, 'no password in the log');
});

void t.test('an application server refuses callers, and names their stream', skip, async (t) => {
  const server = await startApplicationServer(t, (response, { body }) => {
    if (body.stream === 'studio-no') response.writeHead(403).end('{"reason":"not today"}');
    else if (body.stream === 'studio-away') response.writeHead(500).end();
    else response.end(body.stream === 'studio-old' ? '{"rename":"studio-new"}' : '{}');
  });
  const port = await freePort();
  const asking = await startSipGateway({ ...settings(port), auth_url: `${server.url}/access` });
  t.teardown(() => asking.stop());
  for (const [user, status] of [
    ['studio-no', 403],
    ['studio-away', 503],
  ] as const)
    t.equal(await (await caller(t, [call(user, { sdp: sdp() }), got(status), gaveUp(user)], port)).failure(), '', user);
  const renamed = await caller(
    t,
    [call('studio-old', { sdp: sdp() }), ...established(), callerRequest('ACK', 1), ...hungUp()],
    port,
  );
  const { callId } = await waitFor('the call', async () => {
    const { body } = await asking.http('/api/v1/calls');
    return (body as { callId: string; streamName: string; status: string }[]).find(
      ({ streamName, status }) => streamName === 'studio-new' && status === 'ESTABLISHED',
    );
  });
  await asking.rest('/call/terminate', { callId });
  t.equal(await renamed.failure(), '');
  const about = server.requests.map(({ body }) => body).filter(({ protocol }) => protocol === 'sip');
  t.match(about[0], { action: 'publish', stream: 'studio-no', protocol: 'sip', ip: '127.0.0.1', username: '1001' });
  t.notOk(about.some((body) => 'password' in body || 'token' in body));
});

void t.test('480 while the gateway drains', skip, async (t) => {
  const port = await freePort();
  const draining = await startSipGateway(settings(port));
  t.teardown(() => draining.stop());
  t.equal((await draining.http('/api/v1/server/drain', { method: 'POST' })).status, 202);
  const steps = [call('studio', { sdp: sdp() }), got(480), gaveUp('studio')];
  t.equal(await (await caller(t, steps, port)).failure(), '');
});
