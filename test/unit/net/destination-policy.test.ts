import t from 'tap';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { DestinationPolicy, type DestinationPolicyOptions } from '../../../src/net/destination-policy.ts';

const HOSTS: Record<string, string[]> = {
  'public.example': ['93.184.215.14'],
  'a.rtmp.youtube.com': ['2a00:1450:4001:82a::200c', '142.250.185.76'],
  localhost: ['::1', '127.0.0.1'],
  'inside.example': ['10.1.2.3'],
  'mixed.example': ['169.254.169.254', '93.184.215.14'],
  'xn--mnchen-3ya.example': ['93.184.215.14'],
  'empty.example': [],
};
const lookup = async (host: string) => {
  const addresses = HOSTS[host];
  if (!addresses) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' });
  return addresses;
};
type Lists = Partial<Record<'allow_networks' | 'allow_hosts' | 'deny_hosts', string>>;
function policy(
  lists: Lists = {},
  options: DestinationPolicyOptions = {},
): (host: string, port?: number) => Promise<string> {
  const settings = SettingsSchema.parse(
    Object.fromEntries(Object.entries(lists).map(([name, value]) => [`destination_${name}`, value])),
  );
  const subject = new DestinationPolicy(settings, { lookup, ...options });
  return async (host, port = 1935) => (await subject.resolve({ host, port })).addresses.join();
}
const FORBIDDEN = { code: 'DESTINATION_FORBIDDEN', httpStatus: 400 };
const NOT_RESOLVED = { code: 'DESTINATION_NOT_RESOLVED', httpStatus: 400 };
const UNAVAILABLE = { code: 'DNS_UNAVAILABLE', httpStatus: 503, retryable: true };

t.test('public hosts and addresses, by default', async (t) => {
  const resolve = policy();
  t.equal(await resolve('public.example'), '93.184.215.14');
  t.equal(await resolve('PUBLIC.example.'), '93.184.215.14');
  t.equal(await resolve('a.rtmp.youtube.com'), '2a00:1450:4001:82a::200c,142.250.185.76', 'all, in order');
  t.equal(await resolve('münchen.example'), '93.184.215.14');
  t.equal(await resolve('8.8.8.8'), '8.8.8.8');
  t.equal(await resolve('2a00:1450::1'), '2a00:1450::1');
  t.equal(await resolve('mixed.example'), '93.184.215.14', 'those alone that are permitted');
});

t.test('no private or reserved address, in any notation', async (t) => {
  const resolve = policy();
  for (const host of [
    '127.0.0.1',
    '127.255.255.254',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '0.1.2.3',
    '224.0.0.1',
    '239.255.255.255',
    '255.255.255.255',
    '240.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '192.0.0.1',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:10.0.0.1',
    '::ffff:0:127.0.0.1',
    'fe80::1',
    'fec0::1',
    'fc00::1',
    'fd12::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::1',
    '2002:7f00:1::1',
    '2001::1',
    '2001:db8::1',
    '100::1',
    '4000::1',
    'localhost',
    'inside.example',
    // Spellings of 127.0.0.1 that the system's resolver understands.
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '0',
  ])
    await t.rejects(resolve(host), FORBIDDEN, host);
});

t.test('private addresses that the settings name', async (t) => {
  const resolve = policy(
    { allow_networks: '127.0.0.0/8, 10.1.2.3, fd12::/16, ::1, rtmp.inside.example, 64:ff9b::/96' },
    { lookup: async (host) => (host === 'rtmp.inside.example' ? ['192.168.7.7'] : lookup(host)) },
  );
  t.equal(await resolve('127.0.0.1'), '127.0.0.1');
  t.equal(await resolve('::ffff:127.9.9.9'), '::ffff:127.9.9.9', 'a mapped address is the address that it maps');
  t.equal(await resolve('inside.example'), '10.1.2.3');
  t.equal(await resolve('fd12::7'), 'fd12::7');
  t.equal(await resolve('localhost'), '::1,127.0.0.1');
  t.equal(await resolve('rtmp.inside.example'), '192.168.7.7', 'by host name');
  t.equal(await resolve('64:ff9b::8.8.8.8'), '64:ff9b::8.8.8.8');
  for (const host of ['10.1.2.4', '192.168.7.7', 'fd13::1', '::2']) await t.rejects(resolve(host), FORBIDDEN, host);
  t.equal(await policy({ allow_networks: '::ffff:10.0.0.1' })('10.0.0.1'), '10.0.0.1');
});

t.test('destination_allow_hosts permits only these hosts', async (t) => {
  const resolve = policy({ allow_hosts: '*.YouTube.com, 8.8.0.0/16', allow_networks: '10.1.2.3' });
  t.equal(await resolve('a.rtmp.youtube.com'), '2a00:1450:4001:82a::200c,142.250.185.76');
  t.equal(await resolve('8.8.4.4'), '8.8.4.4');
  t.equal(await resolve('inside.example'), '10.1.2.3', 'allowed by its network');
  for (const host of ['public.example', '9.9.9.9']) await t.rejects(resolve(host), FORBIDDEN, host);
  const evil = policy({ allow_hosts: '*.youtube.com' }, { lookup: async () => ['127.0.0.1'] });
  await t.rejects(evil('x.youtube.com'), FORBIDDEN, 'a permitted name opens no private network');
  for (const host of ['youtube.com', 'evilyoutube.com', 'a.youtube.com.evil.example'])
    await t.rejects(
      policy({ allow_hosts: '*.youtube.com' }, { lookup: async () => ['8.8.8.8'] })(host),
      FORBIDDEN,
      host,
    );
});

t.test('destination_deny_hosts is never overridden', async (t) => {
  const resolve = policy({
    deny_hosts: 'public.example, *.youtube.com, 8.8.8.8, 10.1.0.0/16, xn--mnchen-3ya.example',
    allow_networks: '10.0.0.0/8',
  });
  for (const host of [
    'public.example',
    'PUBLIC.EXAMPLE.',
    'a.rtmp.youtube.com',
    '8.8.8.8',
    'inside.example',
    '10.1.9.9',
    'münchen.example',
  ])
    await t.rejects(resolve(host), FORBIDDEN, host);
  t.equal(await resolve('10.2.0.1'), '10.2.0.1');
  t.equal(
    await policy({ deny_hosts: '*', allow_networks: '127.0.0.1' })('127.0.0.1').catch((error: Error) =>
      error.message.slice(0, 10),
    ),
    'Pushing to',
  );
});

t.test("the gateway's own RTMP server, at its port only", async (t) => {
  const resolve = policy({ allow_hosts: 'public.example' }, { alsoAllow: [{ address: '127.0.0.1', port: 1935 }] });
  t.equal(await resolve('127.0.0.1'), '127.0.0.1');
  t.equal(await resolve('localhost'), '127.0.0.1', 'the address at which it listens');
  await t.rejects(resolve('127.0.0.1', 22), FORBIDDEN);
  await t.rejects(resolve('127.0.0.2', 1935), FORBIDDEN);
});

t.test('names that do not resolve', async (t) => {
  const resolve = policy();
  await t.rejects(resolve('nowhere.example'), { ...NOT_RESOLVED, message: /nowhere\.example .*ENOTFOUND/ });
  await t.rejects(resolve('empty.example'), { ...NOT_RESOLVED, message: /no addresses/ });
  await t.rejects(policy({}, { lookup: () => new Promise(() => undefined), timeoutMs: 5 })('slow.example'), {
    ...UNAVAILABLE,
    message: /no answer within 5 ms/,
  });
  await t.rejects(policy({}, { lookup: async () => ['not an address'] })('odd.example'), NOT_RESOLVED);
  await t.rejects(
    policy(
      {},
      {
        lookup: () => {
          throw new Error('at once');
        },
      },
    )('throws.example'),
    NOT_RESOLVED,
  );
});

t.test('a name that does not exist, and a DNS that does not answer', async (t) => {
  const failing = (code: string) =>
    policy({}, { lookup: () => Promise.reject(Object.assign(new Error('no'), { code })) })('some.example');
  for (const code of ['ENOTFOUND', 'ENODATA', 'EINVAL'])
    await t.rejects(failing(code), { ...NOT_RESOLVED, message: new RegExp(`some\\.example .*${code}`) });
  for (const code of ['EAI_AGAIN', 'EAI_FAIL', 'ESERVFAIL', 'ETIMEOUT', 'ECONNREFUSED', 'EMFILE'])
    await t.rejects(failing(code), { ...UNAVAILABLE, message: new RegExp(`some\\.example .*${code}.*restore`) });
});

t.test('each check resolves the name again', async (t) => {
  const answers = [['93.184.215.14'], ['127.0.0.1']];
  const resolve = policy({}, { lookup: async () => answers.shift()! });
  t.equal(await resolve('rebinding.example'), '93.184.215.14');
  await t.rejects(resolve('rebinding.example'), FORBIDDEN);
});

t.test("the system's own resolver", async (t) => {
  const resolve = policy({ allow_networks: '127.0.0.1,::1' }, { lookup: undefined });
  t.match(await resolve('localhost'), /^(127\.0\.0\.1|::1)(,|$)/);
});
