import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { FailedLogins } from '../../../src/access/failed-logins.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { findSipMistakes } from '../../../src/config/sip-contradictions.ts';
import { createCallers, mayCall } from '../../../src/sip/incoming/callers.ts';
import { readSipUsers } from '../../../src/sip/incoming/sip-users.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

const settingsWith = (values: Record<string, string>) => SettingsSchema.parse(values);

t.test('settings that contradict each other are explained', async (t) => {
  const keys = (values: Record<string, string>): string[] =>
    findSipMistakes(settingsWith({ sip: 'true', ...values })).map(({ key }) => key);
  const networks = { sip_incoming_networks: '10.0.0.0/8' };
  t.same(keys({ sip_incoming: 'trusted', ...networks }), []);
  t.same(keys({ sip_incoming: 'digest', sip_users: 'users', ...networks }), []);
  t.same(keys({ sip_incoming: 'registered' }), ['sip_incoming']);
  t.same(keys({ sip_incoming: 'registered', sip_register: '1:pw@pbx.test' }), []);
  t.same(keys({ sip_incoming: 'trusted' }), ['sip_incoming']);
  t.same(keys({ sip_incoming: 'digest' }), ['sip_incoming', 'sip_incoming']);
  t.same(keys({ sip_incoming: 'trusted', sip_users: 'users', ...networks }), ['sip_users']);
  t.same(keys(networks), ['sip_incoming_networks']);
  t.same(keys({ sip: 'false', sip_incoming: 'trusted', ...networks }), ['sip_incoming']);
});

t.test('the callers that the settings allow', async (t) => {
  const file = join(t.testdir({}), 'users');
  const read = (text: string) => {
    writeFileSync(file, text);
    return readSipUsers(file);
  };
  t.same(
    [...read('# telephones\n1001:pw:with:colons\r\n\n1002: space \n')].map(([user, one]) => [user, one.reveal()]),
    [
      ['1001', 'pw:with:colons'],
      ['1002', ' space '],
    ],
  );
  for (const [text, problem] of [
    ['', /no users/],
    ['secret-without-user', /line 1 .* is not user:password/],
    ['1001:', /line 1 /],
    ['1001:a\n1001:b', /line 2 .* already/],
  ] as const)
    t.throws(() => read(text), { code: 'SETTINGS_INVALID', message: problem });
  t.throws(() => read('secret-without-user'), { message: /^(?!.*secret)/ }, 'the line is not shown');
  t.throws(() => readSipUsers(`${file}.missing`), { code: 'SETTINGS_INVALID', message: /ENOENT/ });
  read('1001:a');
  const callers = (values: Record<string, string>) =>
    createCallers(settingsWith({ sip_incoming_networks: '10.0.0.0/8, 192.0.2.7', sip_users: file, ...values }), {
      registrations: { accepts: () => undefined },
      failures: new FailedLogins(5),
      clock: new FakeClock(),
    });
  const admitted = (values: Record<string, string>): boolean[] =>
    ['10.1.2.3', '192.0.2.7', '192.0.2.8', 'not an address'].map((one) => mayCall(callers(values), one));
  t.same(admitted({}), [false, false, false, false], 'off by default');
  t.same(admitted({ sip_incoming: 'registered' }), [false, false, false, false]);
  t.same(admitted({ sip_incoming: 'trusted' }), [true, true, false, false]);
  t.same(admitted({ sip_incoming: 'digest' }), [true, true, false, false]);
});
