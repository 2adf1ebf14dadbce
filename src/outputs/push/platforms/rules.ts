import type { StreamMeasure, VideoMeasure } from '../../../media/stream-meter.ts';
import type { Platform, SourcedRule } from './catalogue.ts';
import type { BitrateRule, RuleCheck } from './platform-schema.ts';
import { sourceText, verdict } from './verdict.ts';
import type { Verdict } from '../../../views/push-view.ts';

/** Compares a measured stream with the rules of a platform. Pure. */

export interface PushFacts {
  readonly measure: StreamMeasure;
  readonly transport: 'rtmp' | 'rtmps';
}

/**
 * How far a recommendation may be exceeded before it counts as broken: key frames are requested from publishers, and
 * arrive a little late; encoders do not hit their bitrate exactly. Hard limits have no such margin.
 */
const MARGIN: Partial<Record<RuleCheck, (limit: number) => number>> = {
  keyFrameInterval: () => 0.5,
  videoBitrate: (limit) => limit * 0.1,
  audioBitrate: (limit) => limit * 0.1,
};
/** Measured rates are not whole numbers: 30.2 frames per second are 30. */
const FRAME_RATE_MARGIN = 1;
/** From here on the limits for 60 frames per second apply. */
const HIGH_FRAME_RATE = 40;

/** Shorter measurements say nothing about rates and intervals. */
export const LEAST_MEASURED_MS = 3000;

/**
 * One verdict for each check that the platform has a rule for: the broken rule, hard ones first, or the strictest that
 * is kept. The length of the session is not a property of the stream.
 */
export function judge(platform: Platform, facts: PushFacts): Verdict[] {
  const checks = new Set(platform.rules.map(({ check }) => check));
  checks.delete('sessionLength');
  return [...checks].flatMap((check) => {
    const rules = platform.rules.filter((rule) => rule.check === check);
    const verdicts = rules.map((rule) => judgeRule(rule, facts)).filter((one) => one !== undefined);
    const order = { error: 0, warning: 1, ok: 2 } as const;
    return verdicts.sort((a, b) => order[a.level] - order[b.level]).slice(0, 1);
  });
}

/** Whether the stream was seen long enough to judge it. */
export const isMeasured = ({ windowMs }: StreamMeasure): boolean => windowMs >= LEAST_MEASURED_MS;

/** `undefined`: the rule does not apply to this stream, or its value is not known. */
function judgeRule(rule: SourcedRule, facts: PushFacts): Verdict | undefined {
  const result = compare(rule, facts);
  if (!result) return undefined;
  const broken = rule.limit === 'hard' ? 'error' : 'warning';
  return verdict(rule.check, result.ok ? 'ok' : broken, result.measured, {
    rule: `${result.rule} (${rule.limit})`,
    source: sourceText(rule.from),
    remedy: result.ok ? '' : result.remedy,
  });
}

interface Comparison {
  readonly ok: boolean;
  readonly measured: string;
  readonly rule: string;
  readonly remedy: string;
}

function compare(rule: SourcedRule, { measure, transport }: PushFacts): Comparison | undefined {
  const { video, audio } = measure;
  switch (rule.check) {
    case 'transport':
      return choice(rule.oneOf, transport, 'Use an rtmps:// URL.');
    case 'video':
      return flag(rule.value, video !== undefined, 'Publish video.', 'video', 'no video');
    case 'audio':
      return flag(rule.value, audio !== undefined, 'Publish audio.', 'audio', 'no audio');
    case 'bFrames':
      return (
        video &&
        flag(
          rule.value,
          video.bFrames,
          'Encode without B-frames (bframes=0, or tune=zerolatency).',
          'B-frames',
          'no B-frames',
        )
      );
    case 'videoSize':
      return video && size(rule.max, video);
    case 'videoBitrate':
      return video && bitrate(rule, video);
    case 'orientation':
      return video && video.width > 0
        ? choice(rule.oneOf, orientation(video), `Publish in ${rule.oneOf.join(' or ')} format.`)
        : undefined;
    case 'videoCodec':
      return video && choice(rule.oneOf, video.codec, `Publish ${rule.oneOf.join(' or ')}.`);
    case 'videoProfile':
      return video?.profile === undefined
        ? undefined
        : choice(rule.oneOf, profileName(video.profile), `Encode with the profile ${rule.oneOf.join(' or ')}.`);
    case 'audioCodec':
      return audio && choice(rule.oneOf, audio.codec, 'Set rtmp_transponder_audio_codec=aac.');
    case 'audioSampleRate':
      return audio && audio.sampleRate > 0
        ? choice(
            rule.oneOf,
            audio.sampleRate,
            'The gateway encodes AAC at 48000 Hz: nothing can be changed here, and most platforms convert it.',
            ' Hz',
          )
        : undefined;
    case 'keyFrameInterval':
      return (
        video &&
        range(
          rule,
          video.keyFrameIntervalMs / 1000,
          ' s',
          'Send key frames more often: set keyFrameInterval in the encoder, or comply.',
          1,
        )
      );
    case 'frameRate':
      return (
        video &&
        range(rule, video.frameRate, ' fps', 'Change the frame rate: fps of the push, or comply.', 1, FRAME_RATE_MARGIN)
      );
    case 'videoLevel':
      return video?.level === undefined
        ? undefined
        : range(rule, video.level / 10, '', 'Publish a smaller frame or a lower frame rate, or comply.', 1);
    case 'audioBitrate':
      return audio && range(rule, audio.bitrate, ' kbit/s', 'Lower audio_bitrate.', 0);
    case 'audioChannels':
      return audio && audio.channels > 0 ? range(rule, audio.channels, '', 'Publish mono or stereo.', 0) : undefined;
    case 'sessionLength':
      return undefined;
    default:
      return rule satisfies never;
  }
}

function range(
  rule: { check: RuleCheck; limit: string; min?: number | undefined; max?: number | undefined },
  value: number,
  unit: string,
  remedy: string,
  digits: number,
  always = 0,
): Comparison {
  const margin = (limit: number): number =>
    Math.max(always, rule.limit === 'hard' ? 0 : (MARGIN[rule.check]?.(limit) ?? 0));
  const { min, max } = rule;
  const ok = (min === undefined || value >= min - margin(min)) && (max === undefined || value <= max + margin(max));
  return { ok, measured: `${value.toFixed(digits)}${unit}`, rule: rangeText(min, max, unit), remedy };
}

function rangeText(min: number | undefined, max: number | undefined, unit: string): string {
  if (min === undefined) return `at most ${max}${unit}`;
  return max === undefined ? `at least ${min}${unit}` : `${min} to ${max}${unit}`;
}

function choice(oneOf: readonly (string | number)[], value: string | number, remedy: string, unit = ''): Comparison {
  return { ok: oneOf.includes(value), measured: `${value}${unit}`, rule: `${oneOf.join(' or ')}${unit}`, remedy };
}

function flag(wanted: boolean, has: boolean, remedy: string, yes: string, no: string): Comparison {
  return { ok: wanted === has, measured: has ? yes : no, rule: wanted ? yes : no, remedy };
}

function size([long, short]: readonly [number, number], { width, height }: VideoMeasure): Comparison | undefined {
  if (width === 0) return undefined;
  return {
    ok: Math.max(width, height) <= long && Math.min(width, height) <= short,
    measured: `${width}x${height}`,
    rule: `at most ${long}x${short}`,
    remedy: 'Publish a smaller frame: height of the push, or comply.',
  };
}

function bitrate(rule: BitrateRule, video: VideoMeasure): Comparison | undefined {
  const limits = bitrateLimits(rule, Math.min(video.width, video.height), video.frameRate);
  if (!limits) return undefined;
  const low = limits.min !== undefined && video.bitrate < limits.min;
  const remedy = low
    ? 'Raise the bitrate of the publisher: re-encoding does not add quality.'
    : 'Lower the bitrate of the publisher, or comply.';
  const result = range({ ...rule, ...limits }, video.bitrate, ' kbit/s', remedy, 0);
  const peak = video.peakBitrate > video.bitrate * 1.05 ? ` (peak ${video.peakBitrate.toFixed(0)})` : '';
  return { ...result, measured: result.measured + peak };
}

/**
 * The limits for a frame size and rate: those of the largest tier that is not larger, because platforms say nothing
 * about smaller sizes.
 *
 * @param height the shorter side
 */
export function bitrateLimits(
  { tiers, min, max }: BitrateRule,
  height: number,
  frameRate: number,
): { readonly min: number | undefined; readonly max: number | undefined } | undefined {
  if (!tiers) return { min, max };
  const fitting = tiers.filter((tier) => tier.height <= height);
  const largest = Math.max(...fitting.map((tier) => tier.height));
  const sized = fitting.filter((tier) => tier.height === largest);
  const fps = frameRate > HIGH_FRAME_RATE ? 60 : 30;
  const tier = sized.find((one) => one.fps === fps) ?? sized.find((one) => one.fps === undefined) ?? sized[0];
  return tier && { min: tier.min, max: tier.max };
}

const orientation = ({ width, height }: VideoMeasure): string =>
  width === height ? 'square' : width > height ? 'landscape' : 'portrait';

const PROFILES: Readonly<Record<number, string>> = { 66: 'baseline', 77: 'main', 88: 'extended', 100: 'high' };
export const profileName = (profile: number): string => PROFILES[profile] ?? `profile ${profile}`;
