/**
 * What ffmpeg is told to do. Pure: every function returns the options of one command, and nothing here holds a secret,
 * since every user of a machine can read the arguments of its processes.
 */

/** One ffmpeg command: options and place of its input, options and place of its output. */
export interface FfmpegCommandLine {
  readonly inputOptions: readonly string[];
  readonly input: string;
  readonly outputOptions: readonly string[];
  /** `pipe:1` streams to the parent; anything else is written by ffmpeg itself, and `pipe:1` then carries `-progress`. */
  readonly output: string;
}

/**
 * Reads at once, without waiting for more input to guess from. Not `-fflags nobuffer`: it throws away what was read while
 * probing, the first key frame included (measured: 2.1 s to the first frame instead of 0.1 s).
 */
const noProbing = ['-analyzeduration', '0'] as const;

export interface AacSettings {
  /** Hertz. */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/**
 * ffmpeg's usual coder ("twoloop") searches long for the best use of few bits, and costs two and a half times as much as this one; at
 * the bitrates of a live stream there are enough bits. Without noise substitution, noise shaping and intensity, which cost time as well,
 * and of which `stereoFromMono` wants none.
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

/** Opus in Ogg, one packet a page, to AAC in ADTS. First frame after 70 ms, 34 ms of delay. */
export function opusToAac(aac: AacSettings): FfmpegCommandLine {
  return {
    inputOptions: ['-threads', '1', '-probesize', '32', ...noProbing, '-f', 'ogg'],
    input: 'pipe:0',
    outputOptions: [...aacOutput(aac), '-threads', '1', '-f', 'adts', '-flush_packets', '1'],
    output: 'pipe:1',
  };
}

/** G.711 as raw bytes to AAC in ADTS. */
export function g711ToAac(law: 'pcmu' | 'pcma', aac: AacSettings): FfmpegCommandLine {
  return {
    inputOptions: [
      '-probesize',
      '32',
      ...noProbing,
      '-f',
      law === 'pcmu' ? 'mulaw' : 'alaw',
      '-ar',
      '8000',
      '-ac',
      '1',
    ],
    input: 'pipe:0',
    outputOptions: [...aacOutput(aac), '-threads', '1', '-f', 'adts', '-flush_packets', '1'],
    output: 'pipe:1',
  };
}

/** Audio codecs that an RTMP server may want, as WCS lists them. */
export type RtmpAudioCodec = 'aac' | 'pcma' | 'pcmu' | 'speex';

/** G.711 has one rate; Speex is the wideband one of 16 kHz, which is all that FLV knows. */
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

/** AAC in ADTS to another codec in FLV. */
export function aacToFlvAudio(codec: Exclude<RtmpAudioCodec, 'aac'>): FfmpegCommandLine {
  return {
    inputOptions: ['-probesize', '32', ...noProbing, '-f', 'aac'],
    input: 'pipe:0',
    outputOptions: plainOutput(codec),
    output: 'pipe:1',
  };
}

/** Where a clip comes from: a RIFF WAV file (`-f wav` keeps any other format from being opened under that name), or a second of silence. */
export type ClipSource = { readonly file: string; readonly channels: number } | 'silence';

/** Not by `-f lavfi`: fluent-ffmpeg looks formats up in a table of ffmpeg's, in which it no longer finds devices since ffmpeg 7.1 marks them. */
const SILENCE: Pick<FfmpegCommandLine, 'inputOptions' | 'input'> = {
  inputOptions: ['-t', '1', '-f', 's16le', '-ar', '48000', '-ac', '2'],
  input: 'file:/dev/zero',
};

const clipInput = (source: ClipSource): Pick<FfmpegCommandLine, 'inputOptions' | 'input'> =>
  source === 'silence' ? SILENCE : { inputOptions: ['-f', 'wav'], input: `file:${source.file}` };

/** Both channels at the level of the one: ffmpeg by itself makes stereo of mono 3 dB quieter. */
const MONO_TO_STEREO = ['-af', 'pan=stereo|c0=c0|c1=c0'] as const;

/** A clip as AAC in ADTS. */
export function clipToAac(source: ClipSource, aac: AacSettings): FfmpegCommandLine {
  const mono = source !== 'silence' && source.channels === 1;
  return {
    ...clipInput(source),
    outputOptions: [...(mono ? MONO_TO_STEREO : []), ...aacOutput(aac), '-f', 'adts'],
    output: 'pipe:1',
  };
}

/** A clip in another codec, in FLV. */
export function clipToFlvAudio(source: ClipSource, codec: Exclude<RtmpAudioCodec, 'aac'>): FfmpegCommandLine {
  return { ...clipInput(source), outputOptions: plainOutput(codec), output: 'pipe:1' };
}

/** The fixed frame that a transcoder makes, whatever its source does meanwhile. */
export interface VideoOutput {
  /** Pixels, even. */
  readonly width: number;
  readonly height: number;
  /** Stretch to the canvas instead of adding borders. */
  readonly stretch: boolean;
  /** Constant frames per second; unset: as they come. */
  readonly fps?: number;
  /** Frames between key frames; unset: a key frame where the source has one. */
  readonly keyFrameInterval?: number;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/** Frames without a key frame before the encoder makes one of its own although the source had none: 10 s at 30 frames per second. */
const LONGEST_GROUP = 300;

/**
 * H.264 in FLV, or VP8, VP9, AV1 in IVF, to H.264 in FLV with the timestamps of the input. Zero latency, no B-frames.
 * The canvas is fixed: it held one sequence header across changes of the source's resolution.
 */
export function toH264(container: 'flv' | 'ivf', output: VideoOutput): FfmpegCommandLine {
  const { width, height, fps, keyFrameInterval, bitrate } = output;
  const canvas = output.stretch
    ? `scale=${width}:${height},setsar=1`
    : `scale=${width}:${height}:force_original_aspect_ratio=decrease:force_divisible_by=2,pad=${width}:${height}:(ow-iw)/2:(oh-ih)/2,setsar=1`;
  const group = keyFrameInterval ?? (fps ? fps * 2 : undefined);
  return {
    inputOptions: [
      '-threads',
      '1',
      '-flags',
      'low_delay',
      '-probesize',
      container === 'flv' ? '1024' : '32',
      ...noProbing,
      '-copyts',
      '-f',
      container,
    ],
    input: 'pipe:0',
    outputOptions: [
      '-map',
      '0:v:0',
      '-vf',
      fps ? `fps=${fps},${canvas}` : canvas,
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-tune',
      'zerolatency',
      '-profile:v',
      'main',
      '-pix_fmt',
      'yuv420p',
      '-bf',
      '0',
      '-sc_threshold',
      '0',
      ...(group
        ? ['-g', String(group), '-keyint_min', String(group)]
        : ['-g', String(LONGEST_GROUP), '-force_key_frames', 'source']),
      '-b:v',
      `${bitrate}k`,
      '-maxrate',
      `${bitrate}k`,
      '-bufsize',
      `${bitrate}k`,
      // The fps filter makes the rate constant; `-fps_mode cfr` would repeat frames from 0 up to the first timestamp.
      '-fps_mode',
      'passthrough',
      ...(fps ? [] : ['-enc_time_base', '1:1000']),
      '-avoid_negative_ts',
      'disabled',
      '-muxdelay',
      '0',
      '-f',
      'flv',
      '-flvflags',
      'no_duration_filesize',
      '-flush_packets',
      '1',
    ],
    output: 'pipe:1',
  };
}

/** One frame of a stream as JPEG. */
export function toJpeg(container: 'flv' | 'ivf'): FfmpegCommandLine {
  return {
    inputOptions: ['-threads', '1', '-f', container],
    input: 'pipe:0',
    outputOptions: [
      '-map',
      '0:v:0',
      '-frames:v',
      '1',
      '-c:v',
      'mjpeg',
      '-pix_fmt',
      'yuvj420p',
      '-q:v',
      '4',
      '-f',
      'image2pipe',
    ],
    output: 'pipe:1',
  };
}

export interface RtmpOutput {
  /** `rtmp://ADDRESS:PORT/` alone: application, name and tcUrl stand in the preset, which no other user can read. */
  readonly server: string;
  /** Path of the preset made by {@link rtmpPreset}. */
  readonly presetFile: string;
  /** Milliseconds that each reading or writing may take, connecting included, before ffmpeg gives up. */
  readonly timeoutMs: number;
  /** Milliseconds between two reports of progress. */
  readonly reportIntervalMs: number;
  /** Whether ffmpeg writes its `onMetaData`. Default: it does. */
  readonly sendMetadata?: boolean | undefined;
  /** `caFile`: all authorities that are trusted, as PEM; ffmpeg takes one file. */
  readonly tls?: { readonly host: string; readonly caFile: string; readonly insecure: boolean };
}

/**
 * What the kernel may hold for the server, in bytes (Linux doubles it for its own needs, within `net.core.wmem_max`). Left to itself it takes
 * megabytes for a server that stands still, while all seems well: measured at 2.5 Mbit/s, a frozen nginx-rtmp was full after 2 to 4 s
 * instead of 10. Enough for 8 Mbit/s over 250 ms.
 */
const SEND_BUFFER_BYTES = 256 * 1024;

/** A ready FLV to an RTMP server, unchanged; progress on stdout. */
export function pushFlv({
  server,
  presetFile,
  timeoutMs,
  reportIntervalMs,
  sendMetadata = true,
  tls,
}: RtmpOutput): FfmpegCommandLine {
  const verification = tls
    ? ['-tls_verify', tls.insecure ? '0' : '1', '-verifyhost', tls.host, '-ca_file', tls.caFile]
    : [];
  return {
    inputOptions: ['-probesize', '1024', ...noProbing, '-f', 'flv'],
    input: 'pipe:0',
    outputOptions: [
      '-map',
      '0',
      '-c',
      'copy',
      '-f',
      'flv',
      '-flvflags',
      `no_duration_filesize${sendMetadata ? '' : '+no_metadata'}`,
      '-flush_packets',
      '1',
      // Microseconds that one track waits for the other to be sent in order. By default 10 s: so late would silence be without frames.
      '-max_interleave_delta',
      '200000',
      '-rw_timeout',
      String(timeoutMs * 1000),
      '-send_buffer_size',
      String(SEND_BUFFER_BYTES),
      ...verification,
      '-fpre',
      presetFile,
      '-progress',
      'pipe:1',
      '-stats_period',
      String(reportIntervalMs / 1000),
    ],
    output: server,
  };
}

/** ffmpeg reads a preset in pieces of so many bytes, and takes the rest of a longer line for another option, which it names in its log. */
export const MAX_PRESET_LINE = 990;

/** What must not stand in the arguments, in the form of an ffmpeg preset file. */
export function rtmpPreset(options: { app: string; streamName: string; tcUrl: string; flashVersion: string }): string {
  return [
    // An option without a value is none; without this one the application is that of the URL, which has none.
    ...(options.app === '' ? [] : [`rtmp_app=${options.app}`]),
    `rtmp_playpath=${options.streamName}`,
    `rtmp_tcurl=${options.tcUrl}`,
    `rtmp_flashver=${options.flashVersion}`,
    'rtmp_live=live',
    '',
  ].join('\n');
}
