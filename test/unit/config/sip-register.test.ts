import t from 'tap';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { loadSettings } from '../../../src/config/settings-file.ts';
import { settingsRoutes } from '../../../src/api/ops/settings-routes.ts';
import { fastify } from 'fastify';

const load = (register: string, env: Record<string, string> = {}) =>
  loadSettings({ env: { SIP: 'true', SIP_REGISTER: register, ...env } }).settings;
const one = (text: string) => {
  const [account] = SettingsSchema.parse({ sip_register: text }).sip_register;
  return { ...account, password: account?.password.reveal() };
};

t.test('accounts', async (t) => {
  t.same(SettingsSchema.parse({}).sip_register, []);
  const bare = {
    user: '1001',
    password: 'pw',
    domain: 'sip.test',
    proxy: undefined,
    stream: undefined,
    transport: undefined,
  };
  t.same(one('1001:pw@sip.test'), bare);
  t.same(one(' 1001:pw@sip.test ; proxy=10.0.0.1:5070; stream=a b ;transport=tls;'), {
    ...bare,
    proxy: { host: '10.0.0.1', port: 5070 },
    stream: 'a b',
    transport: 'tls',
  });
  t.match(one('1001:pw@sip.test;proxy=pbx'), { proxy: { host: 'pbx', port: undefined } });
  t.match(one('+49-30:a:b@c%2C%3B%40%25=@sip.test'), { user: '+49-30', password: 'a:b@c,;@%=', domain: 'sip.test' });
  t.equal(SettingsSchema.parse({ sip_register: 'a:x@b, c:y@d,' }).sip_register.length, 2);
});

t.test('mistakes are explained with the position of the entry, and without its text', async (t) => {
  for (const [entry, message] of [
    ['1001', /must be user:password@domain/],
    ['1001@sip.test', /must be user:password@domain/],
    ['1001:hush', /must be user:password@domain.*@ as %40/],
    ['a b:hush@sip.test', /the user must have/],
    [':hush@sip.test', /the user must have/],
    ['1001:@sip.test', /the password must have/],
    ['1001:hush%@sip.test', /% written as %25/],
    ['1001:hush@sip.test:5070', /no port: write it as ;proxy=host:port/],
    ['1001:hush@', /domain must be a host name/],
    ['1001:hush@[::1]', /domain must be a host name/],
    ['1001:hu;sh@sip.test', /must be user:password@domain.*; as %3B/],
    ['1001:hush@sip.test;stream', /;proxy=, ;stream=, ;transport= only/],
    ['1001:hush@sip.test;secret=hush', /;proxy=, ;stream=, ;transport= only/],
    ['1001:hush@sip.test;stream=a;stream=b', /stream is given twice/],
    ['1001:hush@sip.test;stream=', /stream must have/],
    ['1001:hush@sip.test;proxy=a:0', /proxy must be/],
    ['1001:hush@sip.test;proxy=a:65536', /proxy must be/],
    ['1001:hush@sip.test;transport=ws', /transport must be udp, tcp or tls/],
  ] as const)
    try {
      load(`ok:fine@sip.test,${entry}`);
      t.fail(entry);
    } catch (error) {
      const text = (error as Error).message;
      t.match(text, /environment variable SIP_REGISTER is wrong in its entry 2: /);
      t.match(text, message);
      t.notMatch(text, /hush|fine/);
    }
  t.throws(() => load(Array.from({ length: 101 }, (_, n) => `${n}:x@sip.test`).join(',')), /at most 100/);
});

t.test('contradictions', async (t) => {
  const account = '1001:hush@sip.test';
  t.throws(() => load(account, { SIP: 'false' }), /SIP_REGISTER needs sip=true/);
  t.throws(() => load(`${account},2:x@b,1001:y@SIP.test`), /1001@sip\.test in its entries 1 and 3/);
  for (const [entry, env, message] of [
    ['1001:hush@10.0.0.1', {}, /names 10\.0\.0\.1 in its entry 1.*sip_allow_networks/],
    [`${account};proxy=192.168.1.1`, {}, /192\.168\.1\.1.*sip_allow_networks/],
    [`${account};proxy=pbx:80`, {}, /port 80 with sip_allow_ports/],
    [account, { SIP_DENY_HOSTS: 'sip.test' }, /sip_deny_hosts/],
    [account, { SIP_ALLOW_HOSTS: '*.example.com' }, /sip_allow_hosts/],
  ] as const)
    t.throws(() => load(entry, env), message);
  for (const [entry, env] of [
    [account, {}],
    [`${account},1002:x@sip.test,1001:x@other.test`, {}],
    ['1001:hush@10.0.0.1', { SIP_ALLOW_NETWORKS: '10.0.0.0/8' }],
    [`${account};proxy=pbx:80`, { SIP_ALLOW_PORTS: '80' }],
    [account, { SIP_ALLOW_HOSTS: '*.test' }],
    [account, { SIP_ALLOW_HOSTS: 'other', SIP_ALLOW_NETWORKS: '10.0.0.0/8' }],
  ] as const)
    t.doesNotThrow(() => load(entry, env), JSON.stringify([entry, env]));
});

t.test('passwords are in no view of the settings', async (t) => {
  const settings = load('1001:hush@sip.test');
  t.notMatch(JSON.stringify(settings), 'hush');
  const app = fastify();
  t.teardown(() => app.close());
  app.addHook('onRoute', (route) => {
    route.preHandler = [];
  });
  await app.register(settingsRoutes(settings));
  const { body } = await app.inject('/settings');
  t.notMatch(body, /hush/);
  const view = (JSON.parse(body) as { key: string }[]).find(({ key }) => key === 'sip_register');
  t.same(view, { key: 'sip_register', source: 'default', set: true, secret: true });
});
