import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import t from 'tap';
import { AAC_SAMPLE_RATE } from '../../src/renditions/aac-coder.ts';
import { AudioEncoder } from '../../src/renditions/audio-encoder.ts';
import { BURST_MS } from '../../src/renditions/real-time-budget.ts';
import { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { OPUS_PACKET_MS, opusPackets } from '../helpers/opus.ts';
import { childrenOf } from '../helpers/processes.ts';
import { randomFrom } from '../helpers/random.ts';
import { waitFor } from '../helpers/wait.ts';
import { adtsHeader } from '../helpers/adts.ts';

const AAC_FRAME_MS = (1024 * 1000) / AAC_SAMPLE_RATE;

const RTP_PER_PACKET = 960;
/** In the first byte of a packet (RFC 6716, 3.1). */
const OPUS_STEREO = 0x04;

const program = process.env['OPUS_TO_AAC_BIN'];
/** Steps by a second each time the clock of a shared encoder is read, while it is set. */
let hurries = false;
let sharedMs = 0;
const shared = program
  ? await SharedEncoders.create({
      program,
      streamsEach: 16,
      audioBatchMs: 60,
      logger: silentLogger,
      now: () => (sharedMs += hurries ? 1000 : 0),
    })
  : undefined;
const coders = new Map<string, SharedEncoders | undefined>([['an ffmpeg', undefined]]);
if (shared) coders.set('a shared encoder', shared);
else t.pass('the shared encoder was not built: OPUS_TO_AAC_BIN', { skip: true });

interface Frame {
  readonly raw: Buffer;
  readonly streamMs: number;
}

/** A clock that steps by the longest packet each time it is read, so that no packet comes too early. */
function patientClock(): () => number {
  let nowMs = 0;
  return () => (nowMs += 120);
}

/** Level of each channel, root mean square. */
function levels(frames: readonly Frame[]): [left: number, right: number] {
  const adts = Buffer.concat(frames.flatMap(({ raw }) => [adtsHeader(raw.length, AAC_SAMPLE_RATE, 2), raw]));
  const bytes = execFileSync(
    'ffmpeg',
    ['-loglevel', 'error', '-xerror', '-f', 'aac', '-i', 'pipe:0', '-f', 'f32le', 'pipe:1'],
    { input: adts },
  );
  const samples = new Float32Array(new Uint8Array(bytes).buffer);
  const of = (channel: number): number =>
    Math.sqrt(
      samples.reduce((sum, sample, index) => sum + (index % 2 === channel ? sample ** 2 : 0), 0) / (samples.length / 2),
    );
  return [of(0), of(1)];
}

interface Started {
  readonly encoder: AudioEncoder;
  readonly frames: Frame[];
  /** Feeds audio until frames of it come out: input before an ffmpeg runs is dropped. */
  sounds(): Promise<void>;
}

function start(
  sharedEncoders: SharedEncoders | undefined,
  [packet]: readonly Buffer[] = opusPackets('sine=frequency=440', 1),
  now = patientClock(),
): Started {
  const encoder = new AudioEncoder('opus', 48_000, {
    audioBitrate: 128,
    audioBatchMs: 60,
    sharedEncoders,
    logger: silentLogger,
    now,
  });
  const frames: Frame[] = [];
  encoder.on('frame', (raw, streamMs) => frames.push({ raw, streamMs }));
  let nowMs = 0;
  const sounds = async (): Promise<void> => {
    nowMs += 1000;
    await waitFor(
      'sound',
      () => {
        encoder.encode(packet!, 0, nowMs);
        encoder.restart();
        return frames.length > 0 && frames.at(-1)!.streamMs >= nowMs;
      },
      { every: OPUS_PACKET_MS },
    );
  };
  return { encoder, frames, sounds };
}

/** Encodes packets at once. The first one determines the number of channels. */
async function encode(
  packets: readonly Buffer[],
  shared: SharedEncoders | undefined,
  meanwhile?: () => Promise<void>,
): Promise<Frame[]> {
  const { encoder, frames, sounds } = start(shared, packets);
  try {
    await sounds();
    if (meanwhile) {
      await meanwhile();
      await sounds();
    }
    const before = frames.length;
    packets.forEach((packet, index) => encoder.encode(packet, index * RTP_PER_PACKET, 10_000 + index * OPUS_PACKET_MS));
    // The last packets stay in the encoder, which looks ahead.
    await waitFor(
      'nearly all frames',
      () => frames.at(-1)!.streamMs >= 10_000 + (packets.length - 10) * OPUS_PACKET_MS,
    );
    return frames.slice(before).filter(({ streamMs }) => streamMs >= 10_000);
  } finally {
    await encoder.close();
    t.strictSame(childrenOf(process.pid), [], 'no process is left');
  }
}

const isSteady = (frames: readonly Frame[]): boolean =>
  frames.slice(1).every(({ streamMs }, index) => Math.abs(streamMs - frames[index]!.streamMs - AAC_FRAME_MS) < 0.01);

for (const [name, coder] of coders) {
  await t.test(`${name}: one channel becomes two equal ones`, async (t) => {
    const frames = await encode(opusPackets('sine=frequency=440', 1), coder);
    const [left, right] = levels(frames);
    t.ok(left > 0.05, `level ${left}`);
    t.equal(left, right);
    t.ok(isSteady(frames), 'frame follows frame');
  });

  await t.test(`${name}: two channels stay two`, async (t) => {
    const [left, right] = levels(await encode(opusPackets('aevalsrc=0.3*sin(440*2*PI*t)|0:s=48000', 2), coder));
    t.ok(left > 0.05 && right < left / 20, `left ${left}, right ${right}`);
  });

  await t.test(`${name}: the audio goes on after it is killed`, async (t) => {
    const frames = await encode(opusPackets('sine=frequency=440', 1), coder, async () => {
      const { pid } = childrenOf(process.pid)[0]!;
      process.kill(pid, 'SIGKILL');
      await waitFor('its successor', () => childrenOf(process.pid).some((child) => child.pid !== pid));
    });
    t.ok(levels(frames)[0] > 0.05);
    t.ok(isSteady(frames));
  });

  await t.test(`${name}: missing packets become silence of their length, and a long hole is not filled`, async (t) => {
    const { encoder, frames, sounds } = start(coder);
    await sounds();
    const packets = opusPackets('sine=frequency=440', 1);
    const isMissing = (index: number): boolean => (index >= 30 && index < 50) || (index >= 100 && index < 300);
    const rtp = (index: number): number => (2 ** 32 - 40 * RTP_PER_PACKET + index * RTP_PER_PACKET) >>> 0;
    for (let index = 0; index < 380; index++)
      if (!isMissing(index))
        encoder.encode(packets[index % packets.length]!, rtp(index), 10_000 + index * OPUS_PACKET_MS);
    await waitFor('nearly all frames', () => frames.at(-1)!.streamMs >= 10_000 + 370 * OPUS_PACKET_MS);
    const between = (from: number, to: number): Frame[] =>
      frames.filter(
        ({ streamMs }) => streamMs >= 10_000 + from * OPUS_PACKET_MS && streamMs < 10_000 + to * OPUS_PACKET_MS,
      );
    t.ok(isSteady(between(0, 95)), 'frame follows frame');
    t.ok(levels(between(35, 48))[0] < 0.01, 'silence');
    t.equal(between(103, 300).length, 0);
    t.ok(levels(between(310, 370))[0] > 0.05);
    await encoder.close();
  });

  await t.test(`${name}: it hangs, and is replaced`, async (t) => {
    const { encoder, frames, sounds } = start(coder);
    await sounds();
    const { pid } = childrenOf(process.pid)[0]!;
    process.kill(pid, 'SIGSTOP');
    hurries = true;
    const [packet] = opusPackets('sine=frequency=440', 1);
    for (let packets = 0; packets < 600; packets++)
      encoder.encode(packet!, packets * RTP_PER_PACKET, packets * OPUS_PACKET_MS);
    hurries = false;
    await waitFor('its end', () => childrenOf(process.pid).every((child) => child.pid !== pid));
    const before = frames.length;
    await sounds();
    t.ok(
      frames.slice(before).every(({ streamMs }) => streamMs > 1999),
      'nothing has the time of earlier input',
    );
    t.match(childrenOf(process.pid), [{ args: [coder ? program : /ffmpeg$/] }], 'another one of its kind');
    await encoder.close();
    t.strictSame(childrenOf(process.pid), []);
  });
}

if (shared) {
  // 60 ms of SILK, two frames in a packet.
  const claim = Buffer.of(0x19, 0, 0, 0, 0);

  await t.test(
    'a stream that claims more audio than real time loses its excess, and its neighbours nothing',
    async (t) => {
      const packets = opusPackets('sine=frequency=440', 1);
      const neighbours = Array.from({ length: 15 }, () => start(shared));
      let nowMs = 0;
      const attacker = start(shared, packets, () => nowMs);
      const [before] = childrenOf(process.pid);
      const from = 10_000;
      packets.forEach((packet, index) => {
        for (const { encoder } of neighbours)
          encoder.encode(packet, index * RTP_PER_PACKET, from + index * OPUS_PACKET_MS);
        if (index !== 50) return;
        for (let claims = 0; claims < 90; claims++) attacker.encoder.encode(claim, claims * 5760, claims * 120);
      });
      for (const { frames } of neighbours) {
        await waitFor(
          'nearly all frames',
          () => frames.at(-1)!.streamMs >= from + (packets.length - 10) * OPUS_PACKET_MS,
        );
        t.ok(isSteady(frames), 'frame follows frame');
        t.ok(levels(frames.slice(2))[0] > 0.05);
      }
      t.match(childrenOf(process.pid), [{ pid: before!.pid }], 'the process lives');
      // A little less than the burst may come at once, all in its place.
      await waitFor('the burst', () => attacker.frames.at(-1)!.streamMs > BURST_MS - 300);
      t.ok(attacker.frames.every(({ streamMs }) => streamMs < BURST_MS));
      nowMs = 20_000;
      attacker.encoder.encode(claim, 0, 20_000);
      await waitFor('its later audio', () => attacker.frames.some(({ streamMs }) => streamMs >= 20_000));
      await Promise.all([attacker, ...neighbours].map(({ encoder }) => encoder.close()));
      t.strictSame(childrenOf(process.pid), []);
    },
  );

  await t.test('holes in the timestamps count as audio, too', async (t) => {
    const { encoder, frames } = start(shared, undefined, () => 0);
    const [packet] = opusPackets('sine=frequency=440', 1);
    for (let packets = 0; packets < 200; packets++) encoder.encode(packet!, packets * 24_000, packets * 500);
    await waitFor('frames', () => frames.length > 200);
    await encoder.close();
    t.ok(frames.length * AAC_FRAME_MS < BURST_MS + 200, `${frames.length} frames`);
  });

  await t.test('a stream whose packets kill a shared encoder gets an ffmpeg; its neighbour stays shared', async (t) => {
    // Stands in for the encoder: answers each packet by one frame, and dies of packets of five bytes.
    const dying = t.testdir({
      'opus-to-aac.mjs': `#!${process.execPath}
        let rest = Buffer.alloc(0);
        const tell = (line, length, bytes = '') => {
          const header = Buffer.alloc(4);
          header.writeUInt16LE(line, 0);
          header.writeUInt16LE(length, 2);
          process.stdout.write(Buffer.concat([header, Buffer.from(bytes)]));
        };
        process.stdin.on('data', (data) => {
          for (rest = Buffer.concat([rest, data]); rest.length >= 8 && rest.length >= 8 + rest.readUInt16LE(4);) {
            const [line, length] = [rest.readUInt16LE(2), rest.readUInt16LE(4)];
            if (rest[0] === 80 && length === 5) {
              tell(line, 0xffff);
              process.stdout.write('', () => process.exit(1));
              return;
            }
            if (rest[0] === 80) tell(line, 5, 'frame');
            rest = rest.subarray(8 + length);
          }
        });`,
    });
    const file = `${dying}/opus-to-aac.mjs`;
    chmodSync(file, 0o755);
    const encoders = await SharedEncoders.create({
      program: file,
      streamsEach: 16,
      audioBatchMs: 0,
      logger: silentLogger,
    });
    const [deadly, neighbour] = [start(encoders), start(encoders)];
    await neighbour.sounds();
    deadly.encoder.encode(claim, 0, 0);
    await waitFor('an ffmpeg', () => childrenOf(process.pid).some(({ args }) => args[0]!.endsWith('ffmpeg')));
    await Promise.all([deadly.sounds(), neighbour.sounds()]);
    t.equal(neighbour.frames.at(-1)!.raw.toString(), 'frame', 'encoded by the stand-in');
    t.not(deadly.frames.at(-1)!.raw.toString(), 'frame', 'encoded by ffmpeg');
    t.equal(childrenOf(process.pid).length, 2);
    await Promise.all([deadly.encoder.close(), neighbour.encoder.close()]);
  });
}

// ffmpeg drops such a packet silently, and the audio after it comes too early.
if (shared) {
  await t.test('damaged packets keep the timing', async (t) => {
    const { encoder, sounds } = start(shared);
    await sounds();
    const encoders = childrenOf(process.pid);
    const packets = opusPackets('sine=frequency=440', 1);
    const random = randomFrom(6);
    for (let round = 0; round < 40; round++) {
      for (const packet of packets) {
        const wrong = Buffer.from(packet);
        for (let bytes = 0; bytes < 5; bytes++) wrong[Math.floor(random() * wrong.length)] = Math.floor(random() * 256);
        wrong[0]! &= ~OPUS_STEREO;
        encoder.encode(wrong, 0, 0);
        encoder.restart();
      }
      await sounds();
    }
    t.strictSame(childrenOf(process.pid), encoders, 'no other had to take its place');
    await encoder.close();
  });
}
