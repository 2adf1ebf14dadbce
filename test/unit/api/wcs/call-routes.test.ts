import { SignJWT } from 'jose';
import t from 'tap';
import { CallViewSchema, RegistrationViewSchema } from '../../../../src/api/openapi/call-answers.ts';
import { GatewayError } from '../../../../src/errors.ts';
import type { CallRequest } from '../../../../src/sip/call/call-request.ts';
import type { CallView } from '../../../../src/sip/call/call-view.ts';
import type { CallControl } from '../../../../src/sip/call/calls.ts';
import type { RegistrationView } from '../../../../src/sip/registration/registrations.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const VIEW: CallView = {
  ...{ custom: {}, nodeId: null, appKey: 'live', sessionId: 'c1', callId: 'c1', parentCallId: null, incoming: false },
  ...{ status: 'ESTABLISHED', sipStatus: 200, rtmpUrl: 'rtmp://server/live', rtmpStream: 'KEY', streamName: 'phone' },
  ...{ rtmpStreamStatus: 'pushing', caller: '2000', callee: '1001', hasAudio: true, hasVideo: false, sdp: 'v=0' },
  ...{ visibleName: null, inviteParameters: null, mediaProvider: 'SIP', sipMessageRaw: null, isMsrp: false },
  ...{ target: null, holdForTransfer: false, reason: null, reasonCode: null, audioCodec: 'pcmu', videoCodec: null },
  ...{ secure: false, createdAt: '2026-11-23T20:00:00.000Z', answeredAt: null, endedAt: null },
};

class FakeCalls implements CallControl {
  views = [VIEW];
  readonly done: unknown[] = [];
  failure: GatewayError | undefined;

  async start(request: CallRequest): Promise<void> {
    if (this.failure) throw this.failure;
    const { rights, ...fields } = request;
    await rights?.publish();
    this.done.push(fields);
  }

  list(): CallView[] {
    return this.views;
  }

  ended(): CallView[] {
    return [{ ...VIEW, status: 'BUSY', reasonCode: 'SIP_BUSY', reason: 'busy', endedAt: VIEW.createdAt }];
  }

  terminate(callId: string): void {
    this.done.push(['terminate', callId]);
  }

  sendDtmf(...parameters: readonly string[]): void {
    this.done.push(['dtmf', ...parameters]);
  }

  async injectStream(...parameters: readonly string[]): Promise<void> {
    this.done.push(['stream', ...parameters]);
  }
  endInjection(callId: string): void {
    this.done.push(['no stream', callId]);
  }
  async injectSound(...parameters: readonly string[]): Promise<void> {
    this.done.push(['sound', ...parameters]);
  }
}

const HOST = { host: '127.0.0.1' };
const START = { callId: 'c2', callee: '1001', toStream: 'phone', sipDomain: 'pbx.example' };

t.test('calls by REST, in both generations', async (t) => {
  const calls = new FakeCalls();
  const { http } = await createHttpApp({}, { calls });
  const post = (url: string, payload: object) => http.inject({ method: 'POST', url, payload, headers: HOST });
  const started = await post('/rest-api/call/startup', {
    ...START,
    hasVideo: 'true',
    sipPort: '5070',
    sipPassword: 'geheim',
  });
  t.match(started, { statusCode: 200, body: '' }, 'pages read the first item of anything else');
  t.match(calls.done.at(-1), { callId: 'c2', streamName: 'phone', hasAudio: true, hasVideo: true, sipPort: 5070 });
  const older = {
    callId: 'c3',
    callee: '1',
    rtmpUrl: 'rtmp://server/live',
    rtmpStream: 'x',
    connection: { sipLogin: '7', sipRegisterRequired: 'false' },
  };
  t.match(await post('/RESTCall/call', older), { statusCode: 200, body: '' });
  t.match(calls.done.at(-1), { streamName: 'x', sipLogin: '7', sipRegisterRequired: false });
  const [found] = (await post('/rest-api/call/find', { callId: 'c1', status: 'ESTABLISHED' })).json() as CallView[];
  t.strictSame(CallViewSchema.parse(found), VIEW);
  t.equal((await post('/rest-api/call/find', { callId: 'c9' })).statusCode, 404);
  t.equal((await http.inject({ url: '/rest-api/call/find_all', headers: HOST })).json().length, 1);
  const status = await post('/RESTCall/getStatus', { callId: 'c1' });
  t.equal(status.body, 'ESTABLISHED');
  t.match(status.headers['content-type'], /^text\/plain/);
  t.equal((await post('/RESTCall/getStatus', { callId: 'c9' })).statusCode, 404);
  calls.done.length = 0;
  await post('/rest-api/call/send_dtmf', { callId: 'c1', dtmf: '12#,' });
  await post('/RESTCall/sendDTMF', { callId: 'c1', dtmf: '1', type: 'INFO' });
  await post('/rest-api/call/inject_sound', { callId: 'c1', fileName: 'a.wav' });
  await post('/rest-api/call/terminate', { callId: 'c1' });
  await post('/RESTCall/hangup', { callId: 'c1' });
  t.strictSame(calls.done, [
    ['dtmf', 'c1', '12#,', 'RFC2833'],
    ['dtmf', 'c1', '1', 'INFO'],
    ['sound', 'c1', 'a.wav'],
    ['terminate', 'c1'],
    ['terminate', 'c1'],
  ]);
  calls.done.length = 0;
  for (const url of ['inject_stream', 'inject_stream/startup', 'inject_stream/terminate'])
    t.match(await post(`/rest-api/call/${url}`, { callId: 'c1', streamName: 's' }), { statusCode: 200, body: '' });
  t.strictSame(calls.done, [
    ['stream', 'c1', 's'],
    ['stream', 'c1', 's'],
    ['no stream', 'c1'],
  ]);
  t.match(await post('/rest-api/call/inject_stream', { callId: 'c1' }), { statusCode: 400, body: /streamName/ });
  const ended = await http.inject({ url: '/api/v1/calls?ended=true', headers: HOST });
  t.match(ended.json(), [{ status: 'BUSY', reasonCode: 'SIP_BUSY' }]);
});

t.test('wrong requests are refused with the field', async (t) => {
  const calls = new FakeCalls();
  const { http } = await createHttpApp({}, { calls });
  const post = (url: string, payload: object) => http.inject({ method: 'POST', url, payload, headers: HOST });
  for (const [change, field] of [
    [{ callId: '' }, 'callId'],
    [{ callId: 'x'.repeat(129) }, 'callId'],
    [{ callee: 'x'.repeat(257) }, 'callee'],
    [{ callee: '1\r\nX: y' }, 'callee'],
    [{ visibleName: 'a\nb' }, 'visibleName'],
    [{ sipDomain: 'a b' }, 'sipDomain'],
    [{ sipOutboundProxy: 'a@b' }, 'sipOutboundProxy'],
    [{ sipPort: 0 }, 'sipPort'],
    [{ sipTransport: 'ws' }, 'sipTransport'],
    [{ hasAudio: 'false', hasVideo: 'false' }, 'tick one'],
    [{ toStream: undefined }, 'toStream'],
  ] as const) {
    const answer = await post('/rest-api/call/startup', { ...START, ...change });
    t.equal(answer.statusCode, 400, field);
    t.match(answer.body, field);
  }
  for (const dtmf of ['', 'x', '1'.repeat(65)])
    t.equal((await post('/rest-api/call/send_dtmf', { callId: 'c1', dtmf })).statusCode, 400);
  calls.failure = new GatewayError('CALL_EXISTS', 'There is one.');
  t.equal((await post('/rest-api/call/startup', START)).statusCode, 409);
  t.equal(calls.done.length, 0);
  const { http: off } = await createHttpApp();
  const answer = await off.inject({ method: 'POST', url: '/rest-api/call/startup', payload: START, headers: HOST });
  t.match(answer.json(), { status: 403, exception: 'SIP_DISABLED' });
});

t.test('who may not push does not see where calls are pushed', async (t) => {
  const { http } = await createHttpApp(
    { rest_api_key: 'a'.repeat(24), rest_api_read_key: 'r'.repeat(24) },
    { calls: new FakeCalls() },
  );
  const get = (url: string, key: string) => http.inject({ url, headers: { ...HOST, authorization: `Bearer ${key}` } });
  for (const url of ['/rest-api/call/find_all', '/api/v1/calls']) {
    const own =
      url === '/api/v1/calls'
        ? { rtmpUrl: null, rtmpStream: '***' }
        : { rtmpUrl: 'rtmp://server/live', rtmpStream: 'KEY' };
    t.match((await get(url, 'a'.repeat(24))).json(), [own]);
    const seen = (await get(url, 'r'.repeat(24))).json();
    t.match(seen, [{ rtmpUrl: null, rtmpStream: '***' }]);
    t.equal((await http.inject({ url, headers: HOST })).statusCode, 401);
  }
  const call = await http.inject({
    method: 'POST',
    url: '/rest-api/call/startup',
    payload: START,
    headers: { ...HOST, authorization: `Bearer ${'r'.repeat(24)}` },
  });
  t.equal(call.statusCode, 403);
});

t.test('registrations are shown to who may see their streams', async (t) => {
  const view: RegistrationView = {
    ...{ account: '1001@pbx.example', stream: 'phone', state: 'failed', reasonCode: 'SIP_AUTH_FAILED' },
    ...{ reason: 'The password is wrong.', expiresAt: null },
  };
  const other: RegistrationView = { ...view, account: '1002@pbx.example', stream: null, state: 'registered' };
  const secret = 's'.repeat(32);
  const { http } = await createHttpApp({ jwt_secret: secret }, { registrations: { get: () => [view, other] } });
  const get = async (act: readonly string[], streams: readonly string[]) => {
    const claims = new SignJWT({ sub: 'alice', exp: Math.floor(Date.now() / 1000) + 60, act, streams });
    const token = await claims.setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
    return http.inject({ url: '/api/v1/sip/registrations', headers: { ...HOST, authorization: `Bearer ${token}` } });
  };
  const all = (await get(['read'], ['*'])).json() as RegistrationView[];
  t.strictSame(
    all.map((one) => RegistrationViewSchema.parse(one)),
    [view, other],
  );
  t.strictSame((await get(['read'], ['ph*'])).json(), [view]);
  t.strictSame((await get(['read'], ['1002'])).json(), [other]);
  t.strictSame((await get(['read'], ['1001'])).json(), []);
  t.equal((await get(['publish'], ['*'])).statusCode, 403);
  const { http: off } = await createHttpApp();
  t.strictSame((await off.inject({ url: '/api/v1/sip/registrations', headers: HOST })).json(), []);
});
