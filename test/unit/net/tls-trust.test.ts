import t from 'tap';
import { rootCertificates } from 'node:tls';
import { join } from 'node:path';
import { trustedAuthorities } from '../../../src/net/tls-trust.ts';

t.test('rtmps_ca_file must be a certificate', async (t) => {
  const folder = t.testdir({ 'ca.pem': `An authority\n${rootCertificates[0]}\n`, 'ca.txt': 'An authority\n' });
  t.equal(trustedAuthorities(join(folder, 'ca.pem')).at(-1), `An authority\n${rootCertificates[0]}\n`);
  t.throws(() => trustedAuthorities(join(folder, 'ca.txt')), {
    code: 'SETTINGS_INVALID',
    message: /rtmps_ca_file .*ca\.txt is not a certificate \(.*\)\. Name a PEM file\.$/,
  });
  t.throws(() => trustedAuthorities(join(folder, 'none')), {
    code: 'SETTINGS_INVALID',
    message: /cannot be read \(ENOENT\)\. Name a PEM file\.$/,
  });
});
