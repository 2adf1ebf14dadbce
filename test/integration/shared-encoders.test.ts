import { randomBytes } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import t from 'tap';
import type { AacCoder } from '../../src/renditions/aac-coder.ts';
import { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { opusPackets } from '../helpers/opus.ts';
import { childrenOf } from '../helpers/processes.ts';
import { waitFor } from '../helpers/wait.ts';

const SAMPLES = 960;
const MONO = { channels: 1, bitrate: 96 } as const;
const STEREO = { channels: 2, bitrate: 128 } as const;

t.test('a program that does not run', async (t) => {
  for (const program of ['/nonexistent/opus-to-aac', '/bin/false'])
    t.equal(
      await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: 20, logger: silentLogger }),
      undefined,
      program,
    );
});

t.test('a program that does not end is ended', async (t) => {
  const directory = t.testdir({ encoder: '#!/bin/sh\nexec sleep 600\n' });
  const program = `${directory}/encoder`;
  await chmod(program, 0o700);
  const options = { program, streamsEach: 16, audioBatchMs: 20, logger: silentLogger, probeMs: 200 };
  t.equal(await SharedEncoders.create(options), undefined);
  t.strictSame(childrenOf(process.pid), []);
});

const program = process.env['OPUS_TO_AAC_BIN'];
if (!program) {
  t.pass('the shared encoder was not built: OPUS_TO_AAC_BIN', { skip: true });
} else {
  const mono = opusPackets('sine=frequency=440', 1);
  const stereo = opusPackets('aevalsrc=0.3*sin(440*2*PI*t)|0:s=48000', 2);
  const create = async (options: { streamsEach?: number; audioBatchMs?: number } = {}): Promise<SharedEncoders> =>
    (await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: 20, logger: silentLogger, ...options }))!;
  const pids = (): number[] => childrenOf(process.pid).map(({ pid }) => pid);
  const frames = (coder: AacCoder): Buffer[] => {
    const taken: Buffer[] = [];
    coder.on('frame', (raw) => taken.push(Buffer.from(raw)));
    return taken;
  };
  const feed = (coder: AacCoder, packets: readonly Buffer[]): void =>
    packets.forEach((packet) => coder.encode(packet, SAMPLES));
  /** The number of frames of `packets` packets: one that is not full waits, and so does the look-ahead. */
  const count = (packets: number): number => Math.floor((packets * SAMPLES) / 1024) - 1;
  const all = (taken: readonly Buffer[], packets: number): Promise<unknown> =>
    waitFor(`${count(packets)} frames`, () => taken.length >= count(packets));

  await t.test('streams share a process, and do not mix', async (t) => {
    const encoders = await create();
    const coders = [encoders.open(MONO)!, encoders.open(STEREO)!, encoders.open(MONO)!];
    t.equal(pids().length, 1);
    const taken = coders.map(frames);
    mono.forEach((packet, index) => {
      coders[0]!.encode(packet, SAMPLES);
      coders[1]!.encode(stereo[index]!, SAMPLES);
      coders[2]!.encode(packet, SAMPLES);
    });
    await Promise.all(taken.map((one) => all(one, mono.length)));
    t.strictSame(taken[2], taken[0], 'equal audio is encoded equally');
    t.notSame(taken[1], taken[0]);
    // The result is the same in a process of its own.
    const alone = (await create()).open(STEREO)!;
    const takenAlone = frames(alone);
    feed(alone, stereo);
    await all(takenAlone, stereo.length);
    t.strictSame(takenAlone, taken[1]);
    await Promise.all([alone, ...coders].map((coder) => coder.close()));
    t.strictSame(pids(), [], 'the process ends with its last stream');
  });

  await t.test('a process has a largest number of streams', async (t) => {
    const encoders = await create({ streamsEach: 2 });
    const coders = [1, 2, 3].map(() => encoders.open(MONO)!);
    t.equal(pids().length, 2);
    await coders[0]!.close();
    coders[0] = encoders.open(MONO)!;
    t.equal(pids().length, 2, 'a free place is reused');
    await Promise.all(coders.map((coder) => coder.close()));
    await coders[0]!.close();
    t.strictSame(pids(), []);
    const again = encoders.open(MONO)!;
    const taken = frames(again);
    feed(again, mono);
    await all(taken, mono.length);
    await again.close();
  });

  await t.test('a full batch of one stream flushes the others', async (t) => {
    const encoders = await create({ audioBatchMs: 200 });
    const [first, second] = [encoders.open(MONO)!, encoders.open(MONO)!];
    const taken = frames(second);
    feed(second, mono.slice(0, 9)); // 180 ms
    feed(first, mono.slice(0, 10)); // 200 ms
    await all(taken, 9);
    await Promise.all([first.close(), second.close()]);
    t.ok(taken.length > 0);
  });

  await t.test('input larger than buffers and pipes gives the same frames', async (t) => {
    const [large, small] = [await create({ audioBatchMs: 6000 }), await create()];
    const coders = [large.open(STEREO)!, small.open(STEREO)!];
    const taken = coders.map(frames);
    const minute = Array.from({ length: 3000 }, (_, index) => stereo[index % stereo.length]!);
    for (const coder of coders) feed(coder, minute);
    await Promise.all(taken.map((one) => all(one, minute.length)));
    t.strictSame(taken[0], taken[1]);
    await Promise.all(coders.map((coder) => coder.close()));
  });

  await t.test('closing is not a death, and the next stream gets no frames of the closed one', async (t) => {
    const encoders = await create();
    for (let times = 0; times < 6; times++) await encoders.open(MONO)!.close();
    const stays = encoders.open(MONO)!;
    const takenStays = frames(stays);
    const leaves = encoders.open(MONO)!;
    feed(leaves, mono);
    await leaves.close();
    const next = encoders.open(MONO)!;
    const takenNext = frames(next);
    feed(stays, mono);
    await all(takenStays, mono.length);
    t.equal(takenNext.length, 0);
    await Promise.all([stays.close(), next.close()]);
  });

  await t.test('invalid packets become silence of their length, and other streams are not affected', async (t) => {
    const encoders = await create();
    const [bad, good, reference] = [encoders.open(MONO)!, encoders.open(MONO)!, encoders.open(MONO)!];
    const [takenBad, takenGood, takenReference] = [frames(bad), frames(good), frames(reference)];
    mono.forEach((packet) => {
      // A frame count of none, an empty packet, noise, and the longest that a message can carry.
      const nonsense = [Buffer.of(0xff, 0x00), Buffer.alloc(0), randomBytes(200), randomBytes(65_000)];
      for (const piece of nonsense) bad.encode(piece, SAMPLES);
      good.encode(packet, SAMPLES);
      reference.encode(packet, SAMPLES);
    });
    await Promise.all([all(takenGood, mono.length), all(takenReference, mono.length), all(takenBad, mono.length)]);
    t.strictSame(takenGood, takenReference);
    t.equal(pids().length, 1);
    await Promise.all([bad.close(), good.close(), reference.close()]);
  });

  await t.test('it dies while it works on one stream: it names that stream', async (t) => {
    const encoders = await create();
    const coders = [encoders.open(MONO)!, encoders.open({ channels: 3 as 2, bitrate: 96 })!, encoders.open(MONO)!];
    const causes = Promise.all(coders.map((coder) => new Promise<boolean>((resolve) => coder.once('lost', resolve))));
    feed(coders[0]!, mono);
    t.strictSame(await causes, [false, true, false]);
    await Promise.all(coders.map((coder) => coder.close()));
    t.strictSame(pids(), []);
  });

  await t.test('after it has died five times, none is started for a while', async (t) => {
    const encoders = await create();
    for (let death = 1; death <= 5; death++) {
      const coders = [encoders.open(MONO)!, encoders.open(MONO)!];
      const lost = Promise.all(coders.map((coder) => new Promise<boolean>((resolve) => coder.once('lost', resolve))));
      process.kill(pids()[0]!, 'SIGKILL');
      await lost;
      t.strictSame(
        coders.map(({ running }) => running),
        [false, false],
      );
      await Promise.all(coders.map((coder) => coder.close()));
    }
    t.equal(encoders.open(MONO), undefined);
    t.strictSame(pids(), []);
  });
}
