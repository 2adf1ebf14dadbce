import { lowestAvcLevel } from '../media/codecs/avc-level.ts';
import { MAX_SAMPLE_ASPECT } from '../media/codecs/avc-vui.ts';

/**
 * Command lines of ffmpeg. Pure: every function returns the options of one command. None contains a secret, because
 * every user of a machine can read the arguments of its processes.
 */

/** One ffmpeg command: input with its options, output with its options. */
export interface FfmpegCommandLine {
  readonly inputOptions: readonly string[];
  readonly input: string;
  readonly outputOptions: readonly string[];
  /**
   * `pipe:1` streams to the parent process. Any other output is written by ffmpeg itself, and `pipe:1` then carries
   * `-progress`.
   */
  readonly output: string;
}

/**
 * Reads at once, without probing more input. Not `-fflags nobuffer`: it discards what was read while probing, including
 * the first key frame (measured: 2.1 s to the first frame instead of 0.1 s).
 */
export const noProbing = ['-analyzeduration', '0'] as const;

/** The output of a video transcoder. Its frame size is fixed, whatever the source's is. */
export interface VideoOutput {
  /** Pixels, even. */
  readonly width: number;
  readonly height: number;
  /** Stretch to the canvas instead of adding borders. */
  readonly stretch: boolean;
  /** Constant frames per second; unset: as they come. */
  readonly fps?: number;
  /** Frames per second that the encoder reckons with: those of the source where `fps` is unset. */
  readonly rate: number;
  /** Frames between key frames; unset: a key frame where the source has one. */
  readonly keyFrameInterval?: number;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/** What the parameter sets of an encoder depend on. */
export type EncodedVideo = Pick<VideoOutput, 'width' | 'height' | 'rate' | 'bitrate'>;

/** The option for the lowest level of H.264 that allows the video. Its frames refer to one other frame. */
export const levelOf = ({ width, height, rate: fps, bitrate }: EncodedVideo): string[] => [
  '-level:v',
  (lowestAvcLevel({ width, height, fps, bitrate }) / 10).toFixed(1),
];

/** The width of a sample, where its height is 1. Absurd ones count as square, as in `avc-vui.ts`. */
const SAMPLE = `if(between(sar\\,${1 / MAX_SAMPLE_ASPECT}\\,${MAX_SAMPLE_ASPECT})\\,sar\\,1)`;
/** The width of a frame as it is shown, where its height is 1. */
const SHAPE = `iw/ih*${SAMPLE}`;

/** A side of a frame that is to fit into a canvas: even, and without a border of a pixel or two. */
const fitted = (canvas: number, side: string): string => `min(${canvas}\\,2*ceil(${side}/2-0.001))`;

/** Frames after which the encoder makes a key frame although the source had none: 10 s at 30 frames per second. */
const LONGEST_GROUP = 300;

/**
 * How H.264 is encoded for destinations. The parameter sets that result depend on these options, the frame size, the
 * frame rate and the colours, so standby clips with the same ones need no sequence header of their own.
 *
 * x264 is told the frame rate, because it takes all frames as equally long (zero latency) and the time base of the input
 * for the rate: with milliseconds each frame would get a thousandth of the bitrate.
 *
 * @param group frames between key frames; unset: a key frame where the source has one
 */
export function encodeH264(video: EncodedVideo, group: number | undefined): string[] {
  const { bitrate, rate } = video;
  return [
    '-c:v',
    'libx264',
    '-preset',
    'veryfast',
    '-tune',
    'zerolatency',
    '-profile:v',
    'main',
    ...levelOf(video),
    '-x264-params',
    `fps=${rate}`,
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
  ];
}

/**
 * H.264 in FLV, or VP8, VP9, AV1 in IVF, to H.264 in FLV with the timestamps of the input. Zero latency, no B-frames.
 * The canvas is fixed, so the sequence header stays the same when the source's resolution changes.
 *
 * @param maxPixels the largest frame that the decoder accepts
 * @param afterMs frames up to this timestamp are decoded only: the output has them already
 */
export function toH264(
  container: 'flv' | 'ivf',
  output: VideoOutput,
  maxPixels: number,
  afterMs?: number,
): FfmpegCommandLine {
  const { width, height, fps, keyFrameInterval } = output;
  const canvas = output.stretch
    ? `scale=${width}:${height},setsar=1`
    : `scale=w=${fitted(width, `${height}*${SHAPE}`)}:h=${fitted(height, `${width}/(${SHAPE})`)},` +
      `pad=${width}:${height}:(ow-iw)/2:(oh-ih)/2:eval=frame,setsar=1`;
  const group = keyFrameInterval ?? (fps ? fps * 2 : undefined);
  return {
    inputOptions: [
      '-threads',
      '1',
      '-flags',
      'low_delay',
      '-max_pixels',
      String(maxPixels),
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
      [
        ...(afterMs === undefined ? [] : [`select=gt(t\\,${afterMs / 1000})`]),
        ...(fps ? [`fps=${fps}`] : []),
        canvas,
      ].join(','),
      ...encodeH264(output, group),
      // The fps filter makes the rate constant; `-fps_mode cfr` would repeat frames from 0 to the first timestamp.
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

export type ImageFormat = 'jpeg' | 'png';

const IMAGE_CODECS: Readonly<Record<ImageFormat, readonly string[]>> = {
  jpeg: ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p', '-q:v', '4'],
  png: ['-c:v', 'png', '-pix_fmt', 'rgb24'],
};

/**
 * One frame of a stream as an image.
 *
 * @param width pixels at most; unset: the frame's
 */
export function toImage(
  format: ImageFormat,
  container: 'flv' | 'ivf',
  maxPixels: number,
  width?: number,
): FfmpegCommandLine {
  return {
    inputOptions: ['-threads', '1', '-max_pixels', String(maxPixels), '-f', container],
    input: 'pipe:0',
    outputOptions: ['-map', '0:v:0', '-frames:v', '1', ...squared(width), ...IMAGE_CODECS[format], '-f', 'image2pipe'],
    output: 'pipe:1',
  };
}

/**
 * One frame of a file as JPEG. Reads nothing but this file.
 *
 * @param seconds where the frame is
 * @param width pixels at most
 */
export function posterOf(
  file: string,
  container: 'mp4' | 'flv',
  { seconds, width, maxPixels }: { readonly seconds: number; readonly width: number; readonly maxPixels: number },
): FfmpegCommandLine {
  const limits = ['-threads', '1', '-max_pixels', String(maxPixels), '-protocol_whitelist', 'file'];
  return {
    inputOptions: [...limits, '-f', container, '-noaccurate_seek', '-ss', String(seconds)],
    input: `file:${file}`,
    outputOptions: ['-map', '0:v:0', '-frames:v', '1', ...squared(width), ...IMAGE_CODECS.jpeg, '-f', 'image2pipe'],
    output: 'pipe:1',
  };
}

/** Square samples, for images have no others, and a width at most. */
function squared(maxWidth?: number): string[] {
  const shown = `max(1\\,trunc(iw*${SAMPLE}+0.5))`;
  const size =
    maxWidth === undefined
      ? `w=${shown}:h=ih`
      : `w=min(${maxWidth}\\,${shown}):h=max(2\\,2*trunc(ow/(${SHAPE})/2+0.5))`;
  return ['-vf', `scale=${size},setsar=1`];
}

export interface RtmpOutput {
  /**
   * `rtmp://ADDRESS:PORT/` only: application, stream name and tcUrl are in the preset, which no other user can read.
   */
  readonly server: string;
  /** Path of a file with the content of {@link rtmpPreset}. */
  readonly presetFile: string;
  /** Milliseconds after which ffmpeg aborts a read, a write or the connection attempt. */
  readonly timeoutMs: number;
  /** Milliseconds between two progress reports. */
  readonly reportIntervalMs: number;
  /** Whether ffmpeg writes its own `onMetaData`. Default: true. */
  readonly sendMetadata?: boolean | undefined;
  /** `caFile`: all trusted authorities as PEM, because ffmpeg accepts one file. */
  readonly tls?: { readonly host: string; readonly caFile: string; readonly insecure: boolean };
}

/**
 * The socket's send buffer in bytes; Linux doubles it, within `net.core.wmem_max`. By default the kernel buffers
 * megabytes for a server that does not read, which hides the stall: measured at 2.5 Mbit/s with a frozen nginx-rtmp,
 * the stall is noticed after 2 to 4 s instead of 10. Enough for 8 Mbit/s over 250 ms.
 */
const SEND_BUFFER_BYTES = 256 * 1024;

/** Sends FLV to an RTMP server unchanged; progress reports on stdout. */
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
      // Microseconds that one track waits for the other one, to be interleaved. The default of 10 s would delay audio
      // without video by as much.
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

/**
 * The longest line of a preset. ffmpeg reads it in pieces, takes the rest of a longer line for another option, and
 * writes that to its log.
 */
export const MAX_PRESET_LINE = 990;

/** The content of an ffmpeg preset file with the options that must not be in the arguments. */
export function rtmpPreset(options: { app: string; streamName: string; tcUrl: string; flashVersion: string }): string {
  return [
    // An option without a value is ignored. Without this one the application is that of the URL, which has none.
    ...(options.app === '' ? [] : [`rtmp_app=${options.app}`]),
    `rtmp_playpath=${options.streamName}`,
    `rtmp_tcurl=${options.tcUrl}`,
    `rtmp_flashver=${options.flashVersion}`,
    'rtmp_live=live',
    '',
  ].join('\n');
}
