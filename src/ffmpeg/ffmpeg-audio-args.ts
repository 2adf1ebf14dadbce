import { noProbing, type FfmpegCommandLine } from './ffmpeg-args.ts';

/** Command lines of ffmpeg for audio. Pure: see `ffmpeg-args.ts`. */

export interface AacSettings {
  /** Hertz. */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/**
 * ffmpeg's default coder ("twoloop") searches for the best use of few bits and costs two and a half times as much CPU;
 * the bitrates of a live stream are high enough without it. Noise substitution, noise shaping and intensity stereo also
 * cost CPU, and `stereoFromMono` supports none of them.
 */
const fastCoder = ['-aac_coder', 'fast', '-aac_pns', '0', '-aac_is', '0', '-aac_tns', '0'] as const;

const aacOutput = ({ sampleRate, channels, bitrate }: AacSettings): string[] => [
  '-map',
  '0:a:0',
  '-c:a',
  'aac',
  ...fastCoder,
  '-b:a',
  `${bitrate}k`,
  '-ar',
  String(sampleRate),
  '-ac',
  String(channels),
];

/** Opus in Ogg, or G.711 as raw bytes. */
const packetInput = (source: 'opus' | 'pcmu' | 'pcma'): Pick<FfmpegCommandLine, 'inputOptions' | 'input'> => ({
  inputOptions:
    source === 'opus'
      ? ['-threads', '1', '-probesize', '32', ...noProbing, '-f', 'ogg']
      : ['-probesize', '32', ...noProbing, '-f', source === 'pcmu' ? 'mulaw' : 'alaw', '-ar', '8000', '-ac', '1'],
  input: 'pipe:0',
});

/** Opus in Ogg to AAC in ADTS. First frame after 70 ms, 34 ms of delay. */
export function opusToAac(aac: AacSettings): FfmpegCommandLine {
  return {
    ...packetInput('opus'),
    outputOptions: [...aacOutput(aac), '-threads', '1', '-f', 'adts', '-flush_packets', '1'],
    output: 'pipe:1',
  };
}

/** G.711 as raw bytes to AAC in ADTS. */
export function g711ToAac(law: 'pcmu' | 'pcma', aac: AacSettings): FfmpegCommandLine {
  return {
    ...packetInput(law),
    outputOptions: [...aacOutput(aac), '-threads', '1', '-f', 'adts', '-flush_packets', '1'],
    output: 'pipe:1',
  };
}

/** Audio codecs for RTMP servers, as WCS lists them. */
export type RtmpAudioCodec = 'aac' | 'pcma' | 'pcmu' | 'speex';

/** G.711 has one sample rate. Speex is wideband, 16 kHz: FLV has no other. */
const PLAIN_AUDIO: Record<Exclude<RtmpAudioCodec, 'aac'>, readonly string[]> = {
  pcma: ['-c:a', 'pcm_alaw', '-ar', '8000', '-ac', '1'],
  pcmu: ['-c:a', 'pcm_mulaw', '-ar', '8000', '-ac', '1'],
  speex: ['-c:a', 'libspeex', '-ar', '16000', '-ac', '1'],
};

const plainOutput = (codec: Exclude<RtmpAudioCodec, 'aac'>): string[] => [
  '-map',
  '0:a:0',
  ...PLAIN_AUDIO[codec],
  '-threads',
  '1',
  '-f',
  'flv',
  '-flvflags',
  'no_duration_filesize',
  '-flush_packets',
  '1',
];

/** Opus in Ogg, or G.711 as raw bytes, to G.711 or Speex in FLV. */
export function toFlvAudio(source: 'opus' | 'pcmu' | 'pcma', codec: Exclude<RtmpAudioCodec, 'aac'>): FfmpegCommandLine {
  return { ...packetInput(source), outputOptions: plainOutput(codec), output: 'pipe:1' };
}

/**
 * The source of a clip: a RIFF WAV file (`-f wav` prevents other formats from being opened under that name), or a
 * second of silence.
 */
export type ClipSource = { readonly file: string; readonly channels: number } | 'silence';

/**
 * Not `-f lavfi`: fluent-ffmpeg checks formats against ffmpeg's list, where it does not find devices since ffmpeg 7.1
 * marks them.
 */
const SILENCE: Pick<FfmpegCommandLine, 'inputOptions' | 'input'> = {
  inputOptions: ['-t', '1', '-f', 's16le', '-ar', '48000', '-ac', '2'],
  input: 'file:/dev/zero',
};

const clipInput = (source: ClipSource): Pick<FfmpegCommandLine, 'inputOptions' | 'input'> =>
  source === 'silence' ? SILENCE : { inputOptions: ['-f', 'wav'], input: `file:${source.file}` };

/** Both channels at the level of the single one: ffmpeg's own conversion is 3 dB quieter. */
const MONO_TO_STEREO = ['-af', 'pan=stereo|c0=c0|c1=c0'] as const;

/**
 * A clip as AAC in ADTS.
 *
 * @param maxSeconds where ffmpeg stops, whatever the file's length
 */
export function clipToAac(source: ClipSource, aac: AacSettings, maxSeconds: number): FfmpegCommandLine {
  const mono = source !== 'silence' && source.channels === 1;
  return {
    ...clipInput(source),
    outputOptions: [...(mono ? MONO_TO_STEREO : []), ...aacOutput(aac), '-t', String(maxSeconds), '-f', 'adts'],
    output: 'pipe:1',
  };
}

/**
 * A clip as Opus in Ogg.
 *
 * @param bitrate kilobits per second
 * @param frameMs milliseconds of a packet
 * @param maxSeconds where ffmpeg stops, whatever the file's length
 */
export function clipToOpus(
  source: ClipSource,
  bitrate: number,
  frameMs: number,
  maxSeconds: number,
): FfmpegCommandLine {
  const channels = source === 'silence' ? 2 : Math.min(source.channels, 2);
  return {
    ...clipInput(source),
    outputOptions: [
      ...['-map', '0:a:0', '-c:a', 'libopus', '-b:a', `${bitrate}k`, '-frame_duration', String(frameMs)],
      ...['-ar', '48000', '-ac', String(channels), '-t', String(maxSeconds), '-f', 'ogg'],
    ],
    output: 'pipe:1',
  };
}

/** A clip as G.711 or Speex in FLV. */
export function clipToFlvAudio(
  source: ClipSource,
  codec: Exclude<RtmpAudioCodec, 'aac'>,
  maxSeconds: number,
): FfmpegCommandLine {
  return {
    ...clipInput(source),
    outputOptions: ['-t', String(maxSeconds), ...plainOutput(codec)],
    output: 'pipe:1',
  };
}

/** G.711 as raw bytes to Opus in Ogg, in packets of 20 ms: what a telephone call with Opus gets. */
export function g711ToOpus(law: 'pcmu' | 'pcma'): FfmpegCommandLine {
  return {
    ...packetInput(law),
    outputOptions: [
      ...['-map', '0:a:0', '-c:a', 'libopus', '-application', 'voip', '-frame_duration', '20'],
      ...['-b:a', '32k', '-ar', '48000', '-ac', '1', '-threads', '1', '-f', 'ogg'],
    ],
    output: 'pipe:1',
  };
}
