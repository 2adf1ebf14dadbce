import t from 'tap';
import { SettingsSchema, type Settings } from '../../../src/config/schema.ts';
import { findSipMistakes } from '../../../src/config/sip-contradictions.ts';
import { callAddress, type AccountFields } from '../../../src/sip/call/account.ts';
import { endOf, refusal } from '../../../src/sip/call/call-end.ts';
import { isOver, stepCall, type CallStatus } from '../../../src/sip/call/call-state.ts';
import { SipPolicy } from '../../../src/sip/call/sip-policy.ts';
import { SipResponse } from '../../../src/sip/message/message.ts';

const settingsWith = (values: Record<string, string> = {}): Settings => SettingsSchema.parse(values);
const ACCOUNT = {
  sip: 'true',
  domain: 'pbx.example',
  sip_login: '2000',
  sip_password: 'secret',
  sip_callees: '+49*,1001',
};
const address = (fields: AccountFields, values: Record<string, string> = {}) =>
  callAddress(fields, settingsWith(values));

t.test('states of a call only go forward', async (t) => {
  const run = (...events: Parameters<typeof stepCall>[1][]): CallStatus =>
    events.reduce<CallStatus>(stepCall, 'PENDING');
  const provisional = (status: number, hasMedia = false) => ({ type: 'provisional', status, hasMedia }) as const;
  const ended = (status?: number, isFailure = true) => ({ type: 'ended', status, isFailure }) as const;
  const established = { type: 'established' } as const;
  t.equal(run(provisional(100)), 'TRYING');
  t.equal(run(provisional(100), provisional(180)), 'RING');
  t.equal(run(provisional(180), provisional(100)), 'RING');
  t.equal(run(provisional(183)), 'SESSION_PROGRESS');
  t.equal(run(provisional(183, true), provisional(180)), 'RING_MEDIA');
  t.equal(run(established, provisional(180)), 'ESTABLISHED');
  t.equal(run(established, { type: 'held', isHeld: true }), 'HOLD');
  t.equal(run(established, { type: 'held', isHeld: true }, { type: 'held', isHeld: false }), 'ESTABLISHED');
  t.equal(run({ type: 'held', isHeld: true }), 'PENDING');
  for (const [status, expected] of [
    [486, 'BUSY'],
    [600, 'BUSY'],
    [404, 'FAILED'],
    [undefined, 'FAILED'],
  ] as const)
    t.equal(run(ended(status)), expected);
  t.equal(run(established, ended(undefined, false)), 'FINISH');
  t.equal(run(ended(486), established), 'BUSY', 'nothing follows the end');
  t.same((['FINISH', 'BUSY', 'FAILED', 'HOLD'] as const).map(isOver), [true, true, true, false]);
});

t.test('each refusal has a code, and says what to change', async (t) => {
  const codes = {
    401: 'SIP_AUTH_FAILED',
    403: 'SIP_AUTH_FAILED',
    407: 'SIP_AUTH_FAILED',
    404: 'SIP_NOT_FOUND',
    410: 'SIP_NOT_FOUND',
    484: 'SIP_NOT_FOUND',
    604: 'SIP_NOT_FOUND',
    486: 'SIP_BUSY',
    600: 'SIP_BUSY',
    408: 'SIP_NO_ANSWER',
    480: 'SIP_NO_ANSWER',
    415: 'NO_COMMON_CODECS',
    488: 'NO_COMMON_CODECS',
    606: 'NO_COMMON_CODECS',
    302: 'SIP_REDIRECTED',
    503: 'SIP_REJECTED',
    603: 'SIP_REJECTED',
  };
  for (const [status, code] of Object.entries(codes)) {
    const error = refusal(new SipResponse(Number(status), 'Reason'));
    t.equal(error.code, code, status);
    t.match(error.message, `${status} Reason`);
  }
  const response = new SipResponse(503, 'x'.repeat(500)).set('retry-after', '30 (busy)').set('warning', '304 x "y"');
  t.match(refusal(response).message, /30 s/);
  t.ok(refusal(response).message.length < 400);
  t.match(endOf({ by: 'peer', cause: 'Q.850;cause=16' }, true), { isFailure: false, error: { code: 'SIP_ENDED' } });
  t.match(endOf({ by: 'timeout' }, false).error, { code: 'SIP_UNREACHABLE' });
  t.match(endOf({ by: 'transport', kind: 'tls', message: 'x' }, false).error, { code: 'SIP_TLS_FAILED' });
  t.match(endOf({ by: 'silence', what: 'x' }, true), { isFailure: true });
});

t.test('the account comes from the request, else from the settings', async (t) => {
  t.match(address({ callee: 'sip:1001@10.0.0.5:5070' }), {
    remoteUri: 'sip:1001@10.0.0.5:5070',
    user: 'gateway',
    domain: undefined,
    server: { host: '10.0.0.5', port: 5070, protocol: 'udp' },
    credentials: undefined,
  });
  t.match(
    address({
      callee: '+4930',
      sipLogin: '7',
      sipPassword: 'x',
      sipDomain: 'a.example',
      sipOutboundProxy: 'p.example:5080',
    }),
    {
      remoteUri: 'sip:+4930@a.example',
      server: { host: 'p.example', port: 5080 },
      credentials: { username: '7' },
    },
  );
  t.match(address({ callee: 'sips:x@a.example' }).server, { protocol: 'tls', port: undefined });
  t.match(address({ callee: 'sip:x@a.example;transport=tcp' }).server, { protocol: 'tcp' });
  const stored = address(
    { callee: '+491' },
    { ...ACCOUNT, sip_auth_name: 'auth', outbound_proxy: 'proxy.example', outbound_port: '5070' },
  );
  t.match(stored, {
    remoteUri: 'sip:+491@pbx.example',
    user: '2000',
    server: { host: 'proxy.example', port: 5070 },
    credentials: { username: 'auth' },
  });
  t.equal(stored.credentials!.password.reveal(), 'secret');
  t.match(
    address({ callee: '1001', sipDomain: 'PBX.example.' }, ACCOUNT).credentials,
    { username: '2000' },
    'the same server by another spelling',
  );
});

t.test('a stored password is sent to no other server, and calls only what is listed', async (t) => {
  for (const fields of [
    { sipDomain: 'evil.example' },
    { sipOutboundProxy: 'evil.example' },
    { sipPort: 6000 },
    { sipLogin: 'other' },
  ])
    t.equal(address({ callee: '1001', ...fields }, ACCOUNT).credentials, undefined, JSON.stringify(fields));
  for (const callee of ['19005550100', '1002', '+1491', 'sip:19005@pbx.example'])
    t.throws(() => address({ callee }, ACCOUNT), { code: 'CALLEE_FORBIDDEN' }, callee);
  t.throws(() => address({ callee: '1001@other.example' }, ACCOUNT), { code: 'CALLEE_FORBIDDEN' }, 'another host');
  t.match(address({ callee: '1001@other.example' }, { ...ACCOUNT, sip_allow_hosts: '*.example' }), {
    host: 'other.example',
  });
});

t.test('fields that would break a message are refused', async (t) => {
  for (const callee of [
    '1001\r\nX: y',
    'sip:a@b\r\nX: y',
    'a b@c',
    '<sip:a@b>',
    'sip:a@b>',
    'sip:@b',
    'tel:5',
    '"x"@b',
    '',
    'sip:a@b:0',
  ])
    t.throws(() => address({ callee, sipDomain: 'a.example' }), { code: 'INVALID_REQUEST' }, JSON.stringify(callee));
  t.throws(() => address({ callee: '1' }), { code: 'INVALID_REQUEST' }, 'a number without a domain');
  t.throws(() => address({ callee: '1', sipDomain: 'a.example', sipLogin: 'a>b' }), { code: 'INVALID_REQUEST' });
  t.throws(() => address({ callee: '1', sipDomain: 'a.example:99999' }), { code: 'INVALID_REQUEST' });
});

t.test('SIP goes only where the policy permits it', async (t) => {
  const lookup = async (host: string): Promise<string[]> => {
    if (host === 'private.example') return ['10.0.0.1'];
    if (host === 'target.example') return ['93.184.216.35'];
    if (host === 'public.example') return ['2606:2800::1', '93.184.216.34'];
    throw Object.assign(new Error('no'), { code: 'ENOTFOUND' });
  };
  const srv = async (name: string) => {
    if (name === '_sip._udp.records.example')
      return [
        { name: 'private.example', port: 5060, priority: 1, weight: 1 },
        { name: 'target.example', port: 5062, priority: 2, weight: 1 },
      ];
    throw new Error('none');
  };
  const policy = new SipPolicy(settingsWith(), { lookup, srv });
  const resolve = (host: string, port?: number, protocol: 'udp' | 'tls' = 'udp') =>
    policy.resolve({ host, port, protocol });
  t.match(await resolve('public.example'), { address: '93.184.216.34', port: 5060 });
  t.match(await resolve('public.example', undefined, 'tls'), { port: 5061, serverName: 'public.example' });
  t.match(await resolve('records.example'), { address: '93.184.216.35', port: 5062 }, 'the first target is private');
  const all = (host: string) => policy.resolveAll({ host, port: undefined, protocol: 'udp' });
  t.match(await all('records.example'), [{ address: '93.184.216.35', port: 5062, protocol: 'udp' }]);
  t.match(await all('public.example'), [{ address: '93.184.216.34', port: 5060 }]);
  await t.rejects(all('private.example'), { code: 'SIP_DESTINATION_FORBIDDEN' });
  await t.rejects(all('missing.example'), { code: 'SIP_DESTINATION_NOT_RESOLVED' });
  await t.rejects(resolve('private.example'), { code: 'SIP_DESTINATION_FORBIDDEN' });
  await t.rejects(resolve('127.0.0.1'), { code: 'SIP_DESTINATION_FORBIDDEN' });
  await t.rejects(resolve('169.254.169.254'), { code: 'SIP_DESTINATION_FORBIDDEN' });
  await t.rejects(resolve('public.example', 6379), { code: 'SIP_DESTINATION_FORBIDDEN' });
  await t.rejects(resolve('missing.example'), { code: 'SIP_DESTINATION_NOT_RESOLVED' });
  t.notOk(policy.permits('10.0.0.1', 5060));
  t.notOk(policy.permits('93.184.216.34', 22));
  t.ok(policy.permits('93.184.216.34', 5060));
  t.notOk(policy.permitsMedia('127.0.0.1'));
  t.ok(new SipPolicy(settingsWith({ sip_allow_networks: '10.0.0.0/8' })).permitsMedia('10.1.2.3'));
});

t.test('half-configured accounts are explained', async (t) => {
  const keys = (values: Record<string, string>): string[] =>
    findSipMistakes(settingsWith(values)).map(({ key }) => key);
  t.same(keys({}), []);
  t.same(keys(ACCOUNT), []);
  t.same(keys({ ...ACCOUNT, sip: 'false' }), ['sip_password']);
  t.same(keys({ ...ACCOUNT, sip_callees: '' }), ['sip_password']);
  t.same(keys({ ...ACCOUNT, domain: '' }), ['sip_password']);
  t.same(keys({ ...ACCOUNT, sip_login: '' }), ['sip_password']);
  t.same(keys({ sip: 'true', sip_auth_name: 'x' }), ['sip_auth_name']);
  t.same(keys({ sip: 'true', media_port_from: '31000', media_port_to: '31002' }), ['media_port_to']);
  t.same(keys({ sip: 'true', rtc_port: '31500' }), ['media_port_from']);
});
