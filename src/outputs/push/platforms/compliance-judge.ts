import type { StreamMeasure } from '../../../media/stream-meter.ts';
import type { ComplianceJudge, ComplyingVideo } from '../../../renditions/compliance.ts';
import { bitrateForHeight } from '../../../renditions/encode-profile.ts';
import type { Platform, SourcedRule } from './catalogue.ts';
import type { RuleCheck } from './platform-schema.ts';
import { bitrateLimits, judge } from './rules.ts';

/** What re-encoding mends. A bitrate that is too low is not mended: more bits add no quality. */
const MENDED: ReadonlySet<string> = new Set<RuleCheck>([
  'keyFrameInterval',
  'videoBitrate',
  'frameRate',
  'videoSize',
  'videoCodec',
  'videoProfile',
  'videoLevel',
  'bFrames',
]);
/** Where the platform does not say: what most of them ask for. */
const DEFAULT_KEY_FRAMES_S = 2;
/** Encoders hit their bitrate roughly. */
const BELOW_LIMIT = 0.95;
/** Rates that publishers mean when 29.7 or 30.2 frames per second are measured. */
const USUAL_RATES = [10, 15, 20, 24, 25, 30, 48, 50, 60];

/** The rules of a platform as they decide about re-encoding. */
export function createComplianceJudge(platform: Platform): ComplianceJudge {
  return {
    broken: (measure) =>
      judge(platform, { measure, transport: 'rtmps' })
        .filter(({ check, level }) => level !== 'ok' && MENDED.has(check) && !isTooLow(platform, check, measure))
        .map(({ check }) => check),
    encoding: (measure) => complyingVideo(platform, measure),
  };
}

function isTooLow(platform: Platform, check: string, { video }: StreamMeasure): boolean {
  if (check !== 'videoBitrate' || !video) return false;
  return maxBitrate(platform, video.width, video.height, video.frameRate) >= video.bitrate;
}

function complyingVideo(platform: Platform, { video }: StreamMeasure): ComplyingVideo | undefined {
  if (!video || video.width === 0 || video.height === 0) return undefined;
  const scale = scaleFor(platform, video);
  const height = Math.max(2, 2 * Math.floor((video.height * scale) / 2));
  const width = video.width * scale;
  const fps = complyingRate(platform, video.frameRate);
  const limit = maxBitrate(platform, width, height, fps);
  const bitrate = Math.min(bitrateForHeight(Math.min(width, height), fps), limit * BELOW_LIMIT);
  return {
    height,
    fps,
    keyFrameInterval: Math.max(1, Math.floor(keyFrameSeconds(platform) * fps)),
    bitrate: Math.round(bitrate),
  };
}

/** Makes frames that are too large smaller, without changing their shape. */
function scaleFor(platform: Platform, { width, height }: { width: number; height: number }): number {
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  return rulesOf(platform, 'videoSize').reduce(
    (scale, { max: [maxLong, maxShort] }) => Math.min(scale, maxLong / long, maxShort / short),
    1,
  );
}

function complyingRate(platform: Platform, measured: number): number {
  const rules = rulesOf(platform, 'frameRate');
  const max = Math.min(...rules.map((rule) => rule.max ?? Infinity));
  const min = Math.max(1, ...rules.map((rule) => rule.min ?? 1));
  const usual = USUAL_RATES.reduce((best, rate) =>
    Math.abs(rate - measured) < Math.abs(best - measured) ? rate : best,
  );
  return Math.max(min, Math.min(max, usual));
}

const keyFrameSeconds = (platform: Platform): number =>
  rulesOf(platform, 'keyFrameInterval').reduce(
    (seconds, { max = Infinity, min = 0 }) => Math.max(Math.min(seconds, max), min),
    DEFAULT_KEY_FRAMES_S,
  );

function maxBitrate(platform: Platform, width: number, height: number, frameRate: number): number {
  return rulesOf(platform, 'videoBitrate').reduce((limit, rule) => {
    const { max = Infinity } = bitrateLimits(rule, Math.min(width, height), frameRate) ?? {};
    return Math.min(limit, max);
  }, Infinity);
}

type RuleOf<Check, Any = SourcedRule> = Any extends { check: infer Checks }
  ? Check extends Checks
    ? Any
    : never
  : never;

const rulesOf = <Check extends RuleCheck>({ rules }: Platform, check: Check): RuleOf<Check>[] =>
  rules.filter((rule) => rule.check === check) as RuleOf<Check>[];
