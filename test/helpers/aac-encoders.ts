import { spawnSync } from 'node:child_process';
import { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import { AdtsReader } from '../../src/media/codecs/aac.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { opusFile, packetsOf } from './opus.ts';
import { childrenOf, processorMs } from './processes.ts';
import { waitFor } from './wait.ts';
import { adtsHeader } from './adts.ts';

/** AAC encoders on the same audio: the gateway's own, and libavcodec's with and without its fast coder. */
export type AacEncoder = 'own' | 'fast' | 'twoloop';

export interface Sound {
  readonly channels: 1 | 2;
  /** Opus packets, as from a publisher. */
  readonly opus: Buffer;
  /** The decoded packets: interleaved samples. */
  readonly samples: Float32Array;
}

export interface EncodedSound {
  /** Raw frames. */
  readonly frames: readonly Buffer[];
  /** The original samples, as far as they were encoded: the last frames stay in the encoder. */
  readonly original: Float32Array;
  /** The decoded samples, aligned with the original. */
  readonly samples: Float32Array;
}

type OpusSound = Pick<Sound, 'channels' | 'opus'>;

interface Encoded {
  readonly frames: readonly Buffer[];
  readonly processorMs: number;
}

const SAMPLE_RATE = 48_000;
const PACKET_SAMPLES = 960;
const FRAME_SAMPLES = 1024;
/** The pre-skip that ffmpeg drops from Opus in Ogg, as the header says; packets alone do not contain it. */
const OPUS_PRE_SKIP = 312;
const CODER_OPTIONS = {
  fast: ['-aac_coder', 'fast', '-aac_pns', '0', '-aac_is', '0', '-aac_tns', '0'],
  twoloop: ['-aac_coder', 'twoloop'],
};

/** @param filter an audio source of ffmpeg */
export function makeSound(filter: string, channels: 1 | 2, seconds: number): Sound {
  const opus = opusFile(filter, channels, seconds);
  return { channels, opus, samples: decode('ogg', opus) };
}

/**
 * @param program the shared audio encoder, required for `own`
 * @param kbps all channels together
 */
export async function encodeSound(
  encoder: AacEncoder,
  sound: Sound,
  kbps: number,
  program: string,
): Promise<EncodedSound> {
  const { frames } = await encode(encoder, sound, kbps, program);
  const channels = encoder === 'own' ? 2 : sound.channels;
  const decoded = decode(
    'aac',
    Buffer.concat(frames.flatMap((raw) => [adtsHeader(raw.length, SAMPLE_RATE, channels), raw])),
  );
  // The own encoder outputs mono as two identical channels.
  const samples = channels === sound.channels ? decoded : decoded.filter((_, index) => index % channels === 0);
  const delay = (FRAME_SAMPLES + (encoder === 'own' ? OPUS_PRE_SKIP : 0)) * sound.channels;
  const length = Math.min(sound.samples.length, samples.length - delay);
  return { frames, original: sound.samples.subarray(0, length), samples: samples.subarray(delay, delay + length) };
}

/** Milliseconds of processor time, including Opus decoding and the start of the process. */
export async function encodingCost(
  encoder: AacEncoder,
  sound: OpusSound,
  kbps: number,
  program: string,
): Promise<number> {
  return (await encode(encoder, sound, kbps, program)).processorMs;
}

async function encode(encoder: AacEncoder, sound: OpusSound, kbps: number, program: string): Promise<Encoded> {
  return encoder === 'own' ? encodeByOurs(sound, kbps, program) : encodeByFfmpeg(encoder, sound, kbps);
}

async function encodeByOurs(sound: OpusSound, kbps: number, program: string): Promise<Encoded> {
  const encoders = await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: 120, logger: silentLogger });
  const coder = encoders!.open({ channels: sound.channels, bitrate: kbps })!;
  const pid = childrenOf(process.pid).find(({ role }) => role === 'audio-encoder')!.pid;
  const frames: Buffer[] = [];
  coder.on('frame', (raw) => frames.push(Buffer.from(raw)));
  const packets = packetsOf(sound.opus);
  for (const packet of packets) coder.encode(packet, PACKET_SAMPLES);
  // Less than a batch is not encoded yet.
  await waitFor('its frames', () => frames.length * FRAME_SAMPLES > (packets.length - 12) * PACKET_SAMPLES);
  const used = processorMs(pid);
  await coder.close();
  return { frames, processorMs: used };
}

function encodeByFfmpeg(coder: keyof typeof CODER_OPTIONS, { opus, channels }: OpusSound, kbps: number): Encoded {
  const { stdout, stderr } = run(
    [
      '-benchmark',
      '-threads',
      '1',
      '-f',
      'ogg',
      '-i',
      'pipe:0',
      '-c:a',
      'aac',
      ...CODER_OPTIONS[coder],
      '-b:a',
      `${kbps}k`,
      '-ac',
      String(channels),
      '-threads',
      '1',
      '-f',
      'adts',
      'pipe:1',
    ],
    opus,
  );
  const [, user, system] = /utime=([\d.]+)s stime=([\d.]+)s/.exec(stderr)!;
  return { frames: new AdtsReader().push(stdout), processorMs: (Number(user) + Number(system)) * 1000 };
}

function decode(format: 'ogg' | 'aac', bytes: Buffer): Float32Array {
  const { stdout } = run(
    [
      '-loglevel',
      'error',
      '-xerror',
      '-f',
      format,
      '-i',
      'pipe:0',
      '-ar',
      String(SAMPLE_RATE),
      '-f',
      'f32le',
      'pipe:1',
    ],
    bytes,
  );
  return new Float32Array(new Uint8Array(stdout).buffer);
}

function run(args: readonly string[], input: Buffer): { stdout: Buffer; stderr: string } {
  const { status, stdout, stderr } = spawnSync('ffmpeg', ['-hide_banner', ...args], { input, maxBuffer: Infinity });
  if (status !== 0) throw new Error(`ffmpeg ended with code ${status}: ${stderr.toString().slice(-1000)}`);
  return { stdout, stderr: stderr.toString() };
}
