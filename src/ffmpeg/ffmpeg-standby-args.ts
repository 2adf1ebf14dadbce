import type { SampleAspect } from '../media/codecs/avc.ts';
import { encodeH264, levelOf, type FfmpegCommandLine } from './ffmpeg-args.ts';

/** Command lines of ffmpeg for standby clips. Pure: see `ffmpeg-args.ts`. */

/** Where frames come from. Demuxers are named, so that the content of a file cannot choose another one. */
export type StandbyInput =
  /** One RGB pixel on stdin. */
  | { readonly kind: 'color' }
  /** One image on stdin. */
  | { readonly kind: 'image'; readonly format: 'png' | 'jpeg' }
  | { readonly kind: 'video'; readonly path: string; readonly format: 'mov' | 'matroska' | 'mpegts' };

/** One line of text. It is in a file, because ffmpeg's filters would interpret it. */
export interface TextLine {
  readonly path: string;
  /** Pixels from the top of the frame to the line on which letters stand. */
  readonly baseline: number;
  readonly fontSize: number;
}

/** Colours as ITU-T H.273 numbers them. */
export interface StandbyColours {
  readonly matrix: number;
  readonly fullRange: boolean;
  /** Whether the stream says so; otherwise players guess by the frame size. */
  readonly tags?: { readonly primaries: number; readonly transfer: number };
}

/** Codecs of standby pictures besides H.264. */
export type PictureCodec = 'vp8' | 'vp9' | 'av1';
export type PictureEncoder = 'libvpx' | 'libvpx-vp9' | 'libaom-av1' | 'libsvtav1';

export interface StandbyOutput {
  /** Pixels, even. */
  readonly width: number;
  readonly height: number;
  /** Unless samples are square. */
  readonly sampleAspect?: SampleAspect;
  /** Frames of a second of video. */
  readonly fps: number;
  /** What the encoder is told, for its parameter sets and the size of frames. */
  readonly encoderFps: number;
  /** Frames between key frames. */
  readonly group: number;
  /** Frames of a video at most, and of everything else exactly. */
  readonly frames: number;
  /** `#rrggbb`: around and below the image. */
  readonly background: string;
  readonly text: readonly TextLine[];
  readonly colours: StandbyColours;
  /** Kilobits per second at most. */
  readonly bitrate: number;
  /** Encodes as the video transcoder does. Otherwise: Constrained Baseline, which every destination accepts. */
  readonly asTranscoder: boolean;
  /** Of another codec than H.264. */
  readonly foreign?: PictureEncoder | undefined;
  readonly maxBytes: number;
}

/** The font family of texts; fontconfig replaces it with what there is. */
export const TEXT_FONT = 'Sans';
/** ITU-T H.273. */
const BT709 = 1;
const BT2020 = 9;
/** Constant quality: a frame that does not change costs almost nothing. */
const QUALITY = '21';
/** The same on the scale of VP8, VP9 and AV1. */
const FOREIGN_QUALITY = '30';

/**
 * A clip as H.264 in FLV, or as another codec in IVF: the first frame is a key frame, and each frame is shown when it is
 * decoded.
 *
 * @param maxPixels the largest frame that is decoded
 */
export function toStandbyClip(input: StandbyInput, output: StandbyOutput, maxPixels: number): FfmpegCommandLine {
  const { width, height, encoderFps, group, frames, bitrate } = output;
  const video = { width, height, rate: encoderFps, bitrate };
  const format = output.foreign ? ['-f', 'ivf'] : ['-f', 'flv', '-flvflags', 'no_duration_filesize'];
  const encoding = output.foreign
    ? encodeForeign(output.foreign, output)
    : output.asTranscoder
      ? encodeH264(video, group)
      : [
          ...['-c:v', 'libx264', '-preset', 'veryfast', '-profile:v', 'baseline', '-pix_fmt', 'yuv420p'],
          ...levelOf(video),
          ...['-bf', '0', '-refs', '1', '-sc_threshold', '0', '-g', String(group), '-keyint_min', String(group)],
          ...['-crf', QUALITY, '-maxrate', `${bitrate}k`, '-bufsize', `${bitrate}k`],
        ];
  return {
    ...inputOf(input, output, maxPixels),
    outputOptions: [
      ...['-map', '0:v:0', '-vf', filters(input, output).join(','), ...encoding],
      // One thread: the clip has time, and the streams need the cores.
      ...['-threads', '1', '-fps_mode', 'passthrough', '-frames:v', String(frames), '-fs', String(output.maxBytes)],
      ...format,
    ],
    output: 'pipe:1',
  };
}

/** Without frames that are not shown, and without waiting for later frames. */
function encodeForeign(encoder: PictureEncoder, { group, bitrate }: StandbyOutput): string[] {
  const common = ['-c:v', encoder, '-pix_fmt', 'yuv420p', '-g', String(group)];
  const fixed = ['-keyint_min', String(group)];
  const limits = ['-b:v', `${bitrate}k`, '-crf', FOREIGN_QUALITY];
  const atOnce = ['-lag-in-frames', '0', '-auto-alt-ref', '0'];
  switch (encoder) {
    case 'libvpx':
    case 'libvpx-vp9':
      return [...common, ...fixed, ...limits, ...atOnce, '-deadline', 'realtime', '-cpu-used', '6'];
    case 'libaom-av1':
      return [...common, ...fixed, ...limits, '-lag-in-frames', '0', '-usage', 'realtime', '-cpu-used', '8'];
    case 'libsvtav1':
      return [...common, '-crf', FOREIGN_QUALITY, '-preset', '10', '-svtav1-params', 'pred-struct=1:scd=0'];
  }
}

function inputOf(
  input: StandbyInput,
  { fps, encoderFps, frames }: StandbyOutput,
  maxPixels: number,
): Pick<FfmpegCommandLine, 'inputOptions' | 'input'> {
  const decoder = ['-threads', '1', '-max_pixels', String(maxPixels)];
  const rate = ['-framerate', String(encoderFps)];
  switch (input.kind) {
    case 'color': {
      const pixel = ['-f', 'rawvideo', '-pixel_format', 'rgb24', '-video_size', '1x1'];
      return { inputOptions: ['-protocol_whitelist', 'pipe', ...pixel, ...rate], input: 'pipe:0' };
    }
    case 'image':
      return {
        inputOptions: ['-protocol_whitelist', 'pipe', ...decoder, ...rate, '-f', `${input.format}_pipe`],
        input: 'pipe:0',
      };
    case 'video':
      return {
        inputOptions: [...['-protocol_whitelist', 'file', ...decoder, '-t', String(frames / fps), '-f', input.format]],
        input: `file:${input.path}`,
      };
  }
}

function filters(input: StandbyInput, output: StandbyOutput): string[] {
  const { width, height, fps, encoderFps, frames, colours } = output;
  const background = output.background.replace('#', '0x');
  const size = `${width}:${height}`;
  // Even sides, of which none becomes 0. `dar` is the aspect ratio with that of the pixels.
  const even = (pixels: string): string => `max(2\\,2*trunc(${pixels}/2+0.001))`;
  const sample = output.sampleAspect ?? { width: 1, height: 1 };
  const dar = `(dar*${sample.height}/${sample.width})`;
  const fit = `scale=w=${even(`min(${width}\\,${height}*${dar})`)}:h=${even(`min(${height}\\,${width}/${dar})`)}`;
  const pad = `pad=${size}:(ow-iw)/2:(oh-ih)/2:color=${background}`;
  const range = colours.fullRange ? 'pc' : 'tv';
  const finish = [
    ...output.text.map(drawText),
    `scale=out_color_matrix=${MATRICES[colours.matrix] ?? 'bt601'}:out_range=${range}`,
    'format=yuv420p',
    `setsar=${sample.width}/${sample.height}`,
    `setparams=range=${range}:${tags(colours)}`,
  ];
  const hold = [`loop=loop=${frames - 1}:size=1:start=0`, 'setpts=N'];
  switch (input.kind) {
    case 'color':
      return [`scale=${size}:flags=neighbor`, ...finish, ...hold];
    case 'image': {
      // What is transparent shows the background. In RGB, where its colour is exact.
      const [r, g, b] = Buffer.from(output.background.slice(1), 'hex');
      const flatten = `format=rgba,split[image][copy];[copy]lutrgb=r=${r}:g=${g}:b=${b}:a=255[under];[under][image]overlay=format=rgb`;
      return [fit, flatten, 'format=rgb24', pad, ...finish, ...hold];
    }
    case 'video':
      // In RGB only if the colour needs it. One more frame for a video that has just one; see `framesOf`.
      return [
        `fps=${fps}`,
        ...(encoderFps === fps ? [] : [`setpts=N/(${encoderFps}*TB)`, `fps=${encoderFps}`]),
        fit,
        ...(isGrey(output.background) ? [] : ['format=rgb24']),
        pad,
        'tpad=stop=1:stop_mode=clone',
        ...finish,
      ];
  }
}

/** The names of matrices for the filter `scale`; all others are those of BT.601. */
const MATRICES: Readonly<Record<number, string>> = { [BT709]: 'bt709', [BT2020]: 'bt2020' };

const tags = ({ matrix, tags }: StandbyColours): string =>
  tags
    ? `color_primaries=${tags.primaries}:color_trc=${tags.transfer}:colorspace=${matrix}`
    : 'color_primaries=unknown:color_trc=unknown:colorspace=unknown';

const isGrey = (color: string): boolean => /^#(..)\1\1$/i.test(color);

function drawText({ path, baseline, fontSize }: TextLine): string {
  const border = Math.max(1, Math.round(fontSize / 16));
  return [
    `drawtext=textfile=${filterValue(path)}:expansion=none:font=${TEXT_FONT}:fontsize=${fontSize}`,
    `fontcolor=white:borderw=${border}:bordercolor=black@0.8`,
    `x=(w-text_w)/2:y=${baseline}-max_glyph_a`,
  ].join(':');
}

/** A value in a filter graph. It is parsed twice: as an option, and before that as a part of the graph. */
export function filterValue(text: string): string {
  return text.replace(/[\\':]/g, '\\$&').replace(/[\\'[\],;]/g, '\\$&');
}
