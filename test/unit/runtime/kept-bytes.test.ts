import t from 'tap';
import { KeptBytes } from '../../../src/runtime/kept-bytes.ts';

const texts = (pieces: Buffer[]): string[] => pieces.map((piece) => piece.toString('latin1'));

t.test('returns the pieces, empty ones too, and can be cleared', async (t) => {
  const kept = new KeptBytes();
  t.strictSame([kept.length, kept.views(), kept.copies()], [0, [], []]);
  for (const piece of ['ab', '', 'cde']) kept.push(Buffer.from(piece));
  t.equal(kept.length, 3);
  t.strictSame(texts(kept.views()), ['ab', '', 'cde']);
  kept.clear();
  t.strictSame([kept.length, kept.views()], [0, []]);
  kept.push(Buffer.from('f'));
  t.strictSame(texts(kept.copies()), ['f']);
});

t.test('keeps no reference to its input, and copies have memory of their own', async (t) => {
  const kept = new KeptBytes();
  const piece = Buffer.alloc(3000, 'a');
  for (let i = 0; i < 5; i++) kept.push(piece);
  piece.fill('x');
  const copies = kept.copies();
  kept.clear();
  kept.push(Buffer.alloc(3000, 'b'));
  kept.clear();
  kept.push(Buffer.alloc(20_000, 'b'));
  t.ok(
    copies.length === 5 && copies.every((copy) => copy.equals(Buffer.alloc(3000, 'a'))),
    'after the memory has grown',
  );
  t.strictSame(kept.views(), [Buffer.alloc(20_000, 'b')]);
});
