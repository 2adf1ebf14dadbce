import { randomBytes } from 'node:crypto';
import t from 'tap';
import { SecretBox, UnsealError } from '../../../src/store/secret-box.ts';

const key = randomBytes(32);
const box = new SecretBox(key);

t.test('what was sealed is opened, with the same key and for the same place', async (t) => {
  for (const text of ['', 'stream-key', 'ключ 🔑', 'x'.repeat(10_000)]) {
    const sealed = box.seal(text, 'place');
    t.equal(new SecretBox(key).open(sealed, 'place'), text);
    if (text) t.notOk(sealed.includes(text));
  }
  t.not(box.seal('same', 'place'), box.seal('same', 'place'));
});

t.test('another key', async (t) => {
  const sealed = box.seal('secret', 'place');
  t.throws(() => SecretBox.withRandomKey().open(sealed, 'place'), { message: /another key/ });
});

t.test('every changed byte, another place, and text that was never sealed', async (t) => {
  const sealed = box.seal('secret', 'place');
  const dataAt = sealed.lastIndexOf('.') + 1;
  const data = Buffer.from(sealed.slice(dataAt), 'base64url');
  for (let i = 0; i < data.length; i++) {
    const changed = Buffer.from(data);
    changed[i]! ^= 1;
    t.throws(() => box.open(sealed.slice(0, dataAt) + changed.toString('base64url'), 'place'), { message: /damaged/ });
  }
  t.throws(() => box.open(sealed, 'elsewhere'), { message: /damaged/ });
  for (const text of ['', 'secret', 'v1', 'v1.a.b', sealed.slice(0, -20), sealed.replace('v1', 'v2')])
    t.throws(() => box.open(text, 'place'), UnsealError);
});

t.test('a key of another length', async (t) => {
  for (const length of [0, 16, 33]) t.throws(() => new SecretBox(Buffer.alloc(length)), TypeError);
});
