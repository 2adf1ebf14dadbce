/** A reproducible random number generator (mulberry32). */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export type Random = (below: number) => number;

/** Values at which lengths, counts and timestamps change their meaning. */
const EDGES = [
  '00',
  'ff',
  '80',
  '7f',
  '0000',
  'ffff',
  'ffffff',
  '000000',
  'ffffffff',
  '7fffffff',
  '80000000',
  '000009',
  'c3',
  '43',
  '83',
  '03',
  '0a',
  '08',
  '0c',
].map((hex) => Buffer.from(hex, 'hex'));

const MUTATIONS: ((bytes: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer)[] = [
  function flipBit(bytes, random) {
    const copy = Buffer.from(bytes);
    if (copy.length > 0) copy[random(copy.length)]! ^= 1 << random(8);
    return copy;
  },
  function overwriteWithEdge(bytes, random) {
    const copy = Buffer.from(bytes);
    EDGES[random(EDGES.length)]!.copy(copy, random(copy.length + 1));
    return copy;
  },
  function insertEdge(bytes, random) {
    const at = random(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), EDGES[random(EDGES.length)]!, bytes.subarray(at)]);
  },
  function remove(bytes, random) {
    const at = random(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(40))]);
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random(bytes.length + 1));
  },
  function repeat(bytes, random) {
    const at = random(bytes.length + 1);
    const part = bytes.subarray(at, at + random(200));
    return Buffer.concat([
      bytes.subarray(0, at),
      ...Array.from({ length: 1 + random(50) }, () => part),
      bytes.subarray(at),
    ]);
  },
  function splice(bytes, random, corpus) {
    const other = corpus[random(corpus.length)]!;
    return Buffer.concat([bytes.subarray(0, random(bytes.length + 1)), other.subarray(random(other.length + 1))]);
  },
];

/** An entry of the corpus with one to four mutations, mostly after its first `head` bytes. */
export function mutate(corpus: readonly Buffer[], head: number, random: Random): Buffer {
  const original = corpus[random(corpus.length)]!;
  const kept = random(10) === 0 ? 0 : Math.min(head, original.length);
  let bytes = Buffer.from(original.subarray(kept));
  for (let count = 1 + random(4); count > 0; count--)
    bytes = Buffer.from(MUTATIONS[random(MUTATIONS.length)]!(bytes, random, corpus));
  return Buffer.concat([original.subarray(0, kept), bytes]);
}
