import t from 'tap';
import { Silence } from '../../../src/webrtc/silence.ts';

/** The poll, counted from 1, at which a client that sent these numbers of bytes is gone. */
function goneAt(bytes: readonly number[]): number | undefined {
  const silence = new Silence();
  let received = 0;
  const index = bytes.findIndex((more) => silence.poll((received += more)));
  return index < 0 ? undefined : index + 1;
}

t.test('a client that sent media is gone after two polls without a byte', async (t) => {
  t.equal(goneAt([1e6, 1e6, 1e6]), undefined);
  t.equal(goneAt([1e6, 0, 1e6, 0, 1e6, 0]), undefined, 'media arrives again each time');
  t.equal(goneAt([1e6, 1e6, 0, 0]), 4);
  t.equal(goneAt([20_000, 20_000, 0, 0]), 4, 'audio only');
  t.equal(goneAt([1e6, 90, 0, 0]), 4, 'media in a part of the last poll');
  t.equal(goneAt([3000, 0, 0]), 3, 'in the first moments');
  t.equal(goneAt([0, 0]), 2, 'at once');
});

t.test('a client that sends only checks may be silent between them', async (t) => {
  t.equal(goneAt([3000, 124, 0, 0, 124, 0, 0, 0]), undefined, 'never any media');
  t.equal(goneAt([1e6, 1e6, 124, 124, 0, 0, 0, 124]), undefined, 'no longer');
  t.equal(goneAt([1e6, 124, 124, 1e6, 0, 0]), 6, 'and again');
});
