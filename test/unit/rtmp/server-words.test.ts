import t from 'tap';
import { createRedact } from '../../../src/rtmp/server-words.ts';

void t.test('secrets that a server repeats are removed', async (t) => {
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
    'no part remains of a secret that begins like another one',
  );
  t.equal(redact('1 stream of live'), '1 stream of live', 'other text is kept');
});

void t.test('the text is one line of bounded length, and no part of a secret remains where it is cut', async (t) => {
  const redact = createRedact({ app: 'live', streamName: 'secretsecret' });
  t.equal(redact('\u001b[31mred \r\nnext\u0000line\u2028'), '\\u{1b}[31mred next\\u{0}line');
  const long = redact('x'.repeat(295) + 'secretsecret');
  t.ok(long.length <= 301 && !long.includes('secr'));
});

void t.test('invisible characters are shown escaped', async (t) => {
  const redact = createRedact({ app: 'live', streamName: 'k3y\u200bk3y' });
  for (const character of [
    ...['\u202e', '\u2066', '\u200f', '\u061c'], // direction
    ...['\u200b', '\u200d', '\ufeff', '\u00ad', '\u2060', '\u180e', '\u3164', '\u115f', '\u034f'], // no width
    ...['\u0000', '\u0007', '\u001b', '\u007f', '\u009b'], // controls
    ...['\ufe0f', '\u{e0100}', '\u{e0041}', '\u{e0001}'], // variation selectors and tags
    ...['\ue000', '\u{f0000}', '\ud800', '\uffff', '\ufff9'], // private use, lone surrogates, noncharacters, annotations
  ])
    t.equal(redact(`a${character}b`), `a\\u{${character.codePointAt(0)!.toString(16)}}b`);
  t.equal(redact('Ошибка: ストリーム é 😀'), 'Ошибка: ストリーム é 😀', 'visible characters are kept');
  t.equal(redact('no k3y\u200bk3y'), 'no ***');
});

void t.test('text is not cut inside a character', async (t) => {
  const text = createRedact({ app: 'live', streamName: 'name' })('😀'.repeat(400));
  t.equal(text, `${'😀'.repeat(300)}…`);
});

void t.test('names that are not percent-encoded correctly', async (t) => {
  t.equal(createRedact({ app: 'live', streamName: '%zz%' })('the %zz%'), 'the ***');
  t.equal(createRedact({ app: '', streamName: '' })('nothing'), 'nothing');
});
