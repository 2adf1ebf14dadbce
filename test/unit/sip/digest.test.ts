import { createHash } from 'node:crypto';
import t from 'tap';
import { Secret } from '../../../src/net/secret.ts';
import { answerChallenge, chooseChallenge, hashOf, NonceCounts } from '../../../src/sip/digest.ts';
import { parseDigestFields } from '../../../src/sip/message/text.ts';

const nonce = '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v';
const credentials = { username: 'Mufasa', password: new Secret('Circle of Life') };
const request = () => ({
  method: 'GET',
  uri: '/dir/index.html',
  counts: new NonceCounts(),
  cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
});
const challenge = (algorithm: string): string =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="${nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`;

t.test('the vectors of RFC 7616', async (t) => {
  const expected = {
    MD5: '8ca523f5e9506fed4657c9700eebdbec',
    'SHA-256': '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1',
  };
  for (const [algorithm, response] of Object.entries(expected)) {
    const answer = answerChallenge(chooseChallenge([challenge(algorithm)])!, credentials, request());
    const fields = parseDigestFields(answer)!;
    t.equal(fields.get('response'), response, algorithm);
    t.match(Object.fromEntries(fields), { nc: '00000001', qop: 'auth', algorithm, username: 'Mufasa' });
  }
  // RFC 7616, 3.9.2, as corrected by erratum 4897: the hash of the user name.
  t.equal(
    createHash(hashOf('SHA-512-256')!).update('J\u00e4s\u00f8n Doe:api@example.org').digest('hex'),
    '793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b',
  );
});

t.test('the first known algorithm is taken, and what cannot be answered is left out', async (t) => {
  t.equal(chooseChallenge([challenge('SHA-384'), challenge('SHA-256'), challenge('MD5')])?.hash, 'sha256');
  t.equal(chooseChallenge(['Digest realm="r", nonce="n"'])?.hash, 'md5');
  t.equal(
    chooseChallenge([challenge('MD5').replace('auth, auth-int', 'auth-int'), 'Basic realm="x"', 'Digest x']),
    undefined,
  );
  t.equal(chooseChallenge(['Digest realm="r", nonce="n", stale=TRUE'])?.stale, true);
});

t.test('nc rises for each nonce, and only some are kept', async (t) => {
  const counts = new NonceCounts();
  t.same([counts.next('a'), counts.next('a'), counts.next('b')], [1, 2, 1]);
  for (let i = 0; i < 100; i++) counts.next(`n${i}`);
  t.equal(counts.next('a'), 1);
});

t.test('texts of a server cannot end a header', async (t) => {
  const evil = chooseChallenge(['Digest realm="a\\"b", nonce="n", algorithm="MD5", opaque="x"'])!;
  t.match(answerChallenge(evil, credentials, request()), /realm="a\\"b"/);
});
