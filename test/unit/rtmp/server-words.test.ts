import t from 'tap';
import { createRedact } from '../../../src/rtmp/server-words.ts';

void t.test('secrets that a server repeats are taken out', async (t) => {
  const redact = createRedact({
    app: 'live/instance?user=u1&token=t0ken%2F1&pin=1234',
    streamName: 'k3y-ab?sig=abcdef&s_l=1',
    user: 'bob',
    password: 'p(w',
  });
  t.equal(redact('stream live/k3y-ab is published'), 'stream live/*** is published');
  t.equal(redact('no k3y-ab?sig=abcdef&s_l=1 here'), 'no *** here');
  t.equal(redact('K3Y-AB, sig abcdef, t0ken%2F1, t0ken/1, pin 1234'), '***, sig ***, ***, ***, pin ***');
  t.equal(redact('bob with p(w in instance, p(w, p%28w'), '*** with *** in ***, ***, ***');
  t.equal(createRedact({ app: 'live/key1/key2', streamName: 'name' })('key2 of key1'), '*** of ***');
  t.equal(
    createRedact({ app: 'live', streamName: 'name', user: 'bob', password: 'bobby' })('bobby'),
    '***',
    'nothing of one is left that begins like another',
  );
  t.equal(redact('1 stream of live'), '1 stream of live', 'what is no secret stays');
});

void t.test('words are one line of bounded length, and nothing is left over where they are cut', async (t) => {
  const redact = createRedact({ app: 'live', streamName: 'secretsecret' });
  t.equal(redact('\u001b[31mred\r\nnext\u0000line\u2028'), '[31mred next line');
  const long = redact('x'.repeat(295) + 'secretsecret');
  t.ok(long.length <= 301 && !long.includes('secr'));
});

void t.test('names that are not percent-encoded correctly', async (t) => {
  t.equal(createRedact({ app: 'live', streamName: '%zz%' })('the %zz%'), 'the ***');
  t.equal(createRedact({ app: '', streamName: '' })('nothing'), 'nothing');
});
