import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFlv, type FileTag } from './flv-file.ts';
import { waitFor } from './wait.ts';

/** One decoded frame. */
export interface Frame {
  /** Milliseconds since the start of the recording. */
  readonly time: number;
  readonly width: number;
  readonly height: number;
  /** Mean of the luma, 0 to 255. */
  readonly brightness: number;
}

/** Data from the container. */
export interface Track {
  /** Media tags, without sequence headers. */
  readonly count: number;
  readonly sequenceHeaders: number;
  /** Milliseconds. */
  readonly first: number;
  readonly last: number;
  /** Each decrease of timestamps, as `FROM to TO`. */
  readonly stepsBack: readonly string[];
  /** Largest gap between two tags and where it begins, in milliseconds. */
  readonly largestGap: number;
  readonly largestGapAt: number;
}

/** Facts about a recording, from its bytes and from decoding it. */
export interface Recording {
  readonly video: Track;
  readonly audio: Track;
  /** Intervals between key frames in milliseconds. */
  readonly keyFrameIntervals: readonly number[];
  readonly startsWithKeyFrame: boolean;
  readonly frames: readonly Frame[];
  /** Mono samples at 48 kHz from the start of the recording; gaps are silence. */
  readonly samples: Float32Array;
  /** Messages of the decoder. */
  readonly decodeErrors: readonly string[];
  /** Level in dBFS (RMS; -120 is silence) of each whole second. */
  levels(): number[];
  /** Level of a part in dBFS; times in milliseconds. */
  level(from: number, to: number): number;
  /** Milliseconds at which a white frame follows dark ones. */
  flashes(): number[];
  /** Milliseconds at which audio follows silence. */
  beeps(): number[];
  /** For each flash with a beep within half a second: time of the beep minus time of the flash, in milliseconds. */
  lipSync(): number[];
}

const SAMPLE_RATE = 48_000;

/**
 * How much earlier than video the audio may end when a live stream is cut, in milliseconds: `audio_batch_ms` (120), a packet and its look-ahead (26), the
 * encoder's delay (34), the wait for the next frame (60 and a tick of 40), `media_batch_ms` (20), and a busy machine.
 */
export const MOST_SOUND_LAG = 350;

function track(tags: readonly FileTag[]): Track {
  const media = tags.filter((tag) => !tag.sequenceHeader);
  const stepsBack: string[] = [];
  let largestGap = 0;
  let largestGapAt = 0;
  for (let i = 1; i < media.length; i += 1) {
    const step = media[i]!.timestamp - media[i - 1]!.timestamp;
    if (step < 0) stepsBack.push(`${media[i - 1]!.timestamp} to ${media[i]!.timestamp}`);
    if (step > largestGap) {
      largestGap = step;
      largestGapAt = media[i - 1]!.timestamp;
    }
  }
  return {
    count: media.length,
    sequenceHeaders: tags.length - media.length,
    first: media[0]?.timestamp ?? 0,
    last: media.at(-1)?.timestamp ?? 0,
    stepsBack,
    largestGap,
    largestGapAt,
  };
}

/** Runs ffmpeg and returns its output and its log. */
async function ffmpeg(args: readonly string[]): Promise<{ data: Buffer; log: string }> {
  const child = spawn('ffmpeg', ['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'level+info', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const data: Buffer[] = [];
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => data.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${log.slice(-2000)}`);
  return { data: Buffer.concat(data), log };
}

const decodeErrors = (log: string): string[] => log.split('\n').filter((line) => /\[(error|fatal)\]/.test(line));

/** What the decoder is told before the file. */
type DecoderOptions = readonly string[];

async function decodeVideo(path: string, options: DecoderOptions): Promise<{ frames: Frame[]; errors: string[] }> {
  // The first showinfo reports the original size, the second the mean of a small grey frame, which is cheap to compute.
  const filter = 'showinfo@sent=checksum=0,scale=32:18:flags=fast_bilinear,format=gray,showinfo@seen';
  const { log } = await ffmpeg([
    '-copyts',
    ...options,
    '-i',
    path,
    '-map',
    '0:v',
    '-fps_mode',
    'passthrough',
    '-vf',
    filter,
    '-enc_time_base',
    '1:1000',
    '-f',
    'null',
    '-',
  ]);
  const sizes: { width: number; height: number }[] = [];
  const frames: Frame[] = [];
  for (const line of log.split('\n')) {
    const size = /showinfo@sent.* s:(\d+)x(\d+) /.exec(line);
    if (size) sizes.push({ width: Number(size[1]), height: Number(size[2]) });
    const seen = /showinfo@seen.* pts_time:([\d.]+).* mean:\[(\d+)/.exec(line);
    if (seen) frames.push({ time: Number(seen[1]) * 1000, brightness: Number(seen[2]), ...sizes[frames.length]! });
  }
  return { frames, errors: decodeErrors(log) };
}

async function decodeAudio(
  path: string,
  options: DecoderOptions,
): Promise<{ samples: Float32Array; errors: string[] }> {
  // One channel without mixing, which would change the level.
  const args = [
    '-copyts',
    ...options,
    '-i',
    path,
    '-map',
    '0:a',
    '-af',
    `aresample=${SAMPLE_RATE},pan=mono|c0=c0,ashowinfo@decoded`,
    '-f',
    'f32le',
    'pipe:1',
  ];
  const { data, log } = await ffmpeg(args);
  const decoded = new Float32Array(
    data.buffer.slice(data.byteOffset, data.byteOffset + data.length - (data.length % 4)),
  );
  const frames = [...log.matchAll(/ashowinfo@decoded.* pts_time:([-\d.]+).* nb_samples:(\d+)/g)].map(
    ([, time, length]) => ({ at: Math.round(Number(time) * SAMPLE_RATE), length: Number(length) }),
  );
  return { samples: onTime(decoded, frames), errors: decodeErrors(log) };
}

/** Places each frame at its timestamp, so that a sample's index is its time; gaps become silence. */
function onTime(
  decoded: Float32Array,
  frames: readonly { readonly at: number; readonly length: number }[],
): Float32Array {
  const samples = new Float32Array(frames.reduce((end, { at, length }) => Math.max(end, at + length), 0) + SAMPLE_RATE);
  let from = 0;
  let end = 0;
  for (const { at, length } of frames) {
    // Timestamps are whole milliseconds: a frame within 2 ms of the end of the previous one follows it directly.
    const start = Math.abs(at - end) < SAMPLE_RATE / 500 ? end : Math.max(0, at);
    samples.set(decoded.subarray(from, from + length), start);
    from += length;
    end = start + length;
  }
  return samples.subarray(0, end);
}

/** RMS in dBFS of samples `from` to `to`. */
function rms(samples: Float32Array, from: number, to: number): number {
  let sum = 0;
  const end = Math.min(to, samples.length);
  for (let i = from; i < end; i += 1) sum += samples[i]! * samples[i]!;
  return end > from && sum > 0 ? Math.max(-120, 10 * Math.log10(sum / (end - from))) : -120;
}

/** Times at which `on` begins after at least `quiet` milliseconds without it. */
function onsets(points: Iterable<{ readonly time: number; readonly on: boolean }>, quiet: number): number[] {
  const starts: number[] = [];
  let lastOn = -Infinity;
  let first = true;
  for (const { time, on } of points) {
    // If it is on at the start, it began earlier.
    if (on && !first && time - lastOn >= quiet) starts.push(time);
    if (on) lastOn = time;
    first = false;
  }
  return starts;
}

function* loudness(samples: Float32Array): Generator<{ time: number; on: boolean }> {
  const window = SAMPLE_RATE / 200;
  for (let at = 0; at + window <= samples.length; at += window) {
    yield { time: (at / SAMPLE_RATE) * 1000, on: rms(samples, at, at + window) > -25 };
  }
}

export interface AnalyseOptions {
  /** Everything that is not quite right is an error for the decoder. Default: only what it cannot conceal. */
  readonly strict?: boolean;
}

/** Reads and decodes an FLV file, which may still be growing. */
export async function analyse(path: string, { strict = false }: AnalyseOptions = {}): Promise<Recording> {
  const options = strict ? ['-err_detect', 'explode'] : [];
  const file = await readFile(path);
  const { tags, length } = readFlv(file);
  const videoTags = tags.filter((tag) => tag.kind === 'video');
  const audioTags = tags.filter((tag) => tag.kind === 'audio');
  // Complete tags only, so that messages of the decoder are the sender's fault.
  const folder = await mkdtemp(join(tmpdir(), 'recording-'));
  const complete = join(folder, 'complete.flv');
  await writeFile(complete, file.subarray(0, length));
  const [video, audio] = await Promise.all([
    videoTags.length > 0 ? decodeVideo(complete, options) : { frames: [], errors: [] },
    audioTags.length > 0 ? decodeAudio(complete, options) : { samples: new Float32Array(0), errors: [] },
  ]).finally(() => rm(folder, { recursive: true }));
  const { samples } = audio;
  const { frames } = video;
  const level = (from: number, to: number): number =>
    rms(samples, Math.round((from * SAMPLE_RATE) / 1000), Math.round((to * SAMPLE_RATE) / 1000));
  const keyTimes = videoTags.filter((tag) => tag.keyFrame).map((tag) => tag.timestamp);
  const flashes = (): number[] =>
    onsets(
      frames.map(({ time, brightness }) => ({ time, on: brightness > 140 })),
      400,
    );
  const beeps = (): number[] => onsets(loudness(samples), 400);
  return {
    video: track(videoTags),
    audio: track(audioTags),
    keyFrameIntervals: keyTimes.slice(1).map((time, i) => time - keyTimes[i]!),
    startsWithKeyFrame: videoTags.find((tag) => !tag.sequenceHeader)?.keyFrame ?? false,
    frames,
    samples,
    decodeErrors: [...video.errors, ...audio.errors],
    level,
    levels: () =>
      Array.from({ length: Math.floor(samples.length / SAMPLE_RATE) }, (_, second) =>
        level(second * 1000, second * 1000 + 1000),
      ),
    flashes,
    beeps,
    lipSync() {
      const heard = beeps();
      return flashes().flatMap((flash) => {
        const nearest = heard.map((beep) => beep - flash).sort((a, b) => Math.abs(a) - Math.abs(b))[0];
        return nearest !== undefined && Math.abs(nearest) < 500 ? [nearest] : [];
      });
    },
  };
}

/** The median; of an even number of values the upper one. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Timestamp of the last complete tag of each kind in a growing recording, in milliseconds; 0 if there is none. */
export async function recordedUntil(path: string): Promise<{ readonly audio: number; readonly video: number }> {
  const { tags } = await readFile(path)
    .then(readFlv)
    .catch(() => ({ tags: [] }));
  const last = (kind: FileTag['kind']): number =>
    tags.findLast((tag) => tag.kind === kind && !tag.sequenceHeader)?.timestamp ?? 0;
  return { audio: last('audio'), video: last('video') };
}

/** Waits for the first frame of a recording. */
export async function firstFrame(path: string): Promise<void> {
  await waitFor(
    `a frame in ${path.split('/').at(-1)}`,
    async () => readFlv(await readFile(path)).tags.some((tag) => tag.kind === 'video' && !tag.sequenceHeader),
    { every: 10 },
  );
}

/** Path of nginx-rtmp's recording of a stream. */
export function recordingOf(server: { readonly recordDir: string }, name: string): string {
  return join(server.recordDir, `${name}.flv`);
}

/** Waits until a recording contains this many milliseconds of audio and video. */
export async function recorded(path: string, milliseconds: number, timeout = milliseconds + 30_000): Promise<void> {
  await waitFor(
    `${milliseconds} ms in ${path.split('/').at(-1)}`,
    async () => {
      const { audio, video } = await recordedUntil(path);
      if (Math.min(audio, video) < milliseconds) throw new Error(`${audio} ms of audio, ${video} ms of video`);
      return true;
    },
    { timeout, every: 200 },
  );
}

/** Waits for the first recording of a stream anywhere below the folder, such as node-media-server's `APP/NAME/TIME.flv`. */
export function findRecording(server: { readonly recordDir: string }, name: string): Promise<string> {
  return waitFor(`a recording of ${name}`, async () => {
    const files = await readdir(server.recordDir, { recursive: true });
    const found = files.find((file) => file.endsWith('.flv') && file.includes(name));
    return found && join(server.recordDir, found);
  });
}
