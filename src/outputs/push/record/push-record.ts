import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { toGatewayError } from '../../../errors.ts';
import type { Logger } from '../../../observe/logger.ts';
import { VIDEO_FOURCC, type ForeignVideoCodec } from '../../../media/containers/enhanced-tag.ts';
import type { PublishedCodecs } from '../codecs/codec-choice.ts';
import type { PushIdentity } from '../transponder-start.ts';
import type {
  PictureChange,
  RequestOrigin,
  StandbyRequest,
  StartRequest,
  TransponderControl,
} from '../transponder-control.ts';
import type { TransponderView } from '../../../views/push-view.ts';

/** A `StartRequest` without `options`, as this version of the gateway or another one has stored it. */
export type PushOrder = Readonly<Record<string, unknown>> & { readonly streamName: string; readonly rtmpUrl: string };

/** A push as it is stored, so that it goes on after a restart or on another node: what was requested, and its state. */
export interface PushRecord {
  readonly order: PushOrder;
  /** Who published the stream: see `LiveStream.resumeKey`. */
  readonly resumeKey?: string | undefined;
  /** ISO time. */
  readonly startedAt?: string | undefined;
  /** Since when the publisher has been lost (ISO time). */
  readonly lostAt?: string | undefined;
  /** What goes out, as views call it: a standby picture is to have the same codec. */
  readonly codecs?: StoredCodecs | undefined;
  readonly muted: boolean;
  /** Standby was switched on by hand. */
  readonly held?: boolean | undefined;
  /** A sound file that is being repeated. */
  readonly soundFile?: string | undefined;
}

/** Earlier versions wrote `request` for `order`, with the options that the push was started with. */
const StoredSchema = z
  .object({
    order: z.looseObject({ streamName: z.string(), rtmpUrl: z.string() }).exactOptional(),
    request: z.looseObject({ streamName: z.string(), rtmpUrl: z.string() }).exactOptional(),
    resumeKey: z.string().exactOptional(),
    startedAt: z.iso.datetime().exactOptional(),
    lostAt: z.iso.datetime().exactOptional(),
    codecs: z.object({ video: z.string().exactOptional(), audio: z.string().exactOptional() }).exactOptional(),
    muted: z.boolean().exactOptional(),
    held: z.boolean().exactOptional(),
    soundFile: z.string().exactOptional(),
  })
  .transform(({ order, request, ...state }, issues): PushRecord => {
    const stored = order ?? request;
    if (!stored) {
      issues.addIssue({ code: 'custom', message: 'an order is missing', input: undefined });
      return z.NEVER;
    }
    const { options, ...rest } = stored;
    return { order: rest, muted: (options as StartRequest['options'])?.action === 'mute', ...state };
  });

/** @throws {Error} if the text is not a record of a push */
export const parseRecord = (text: string): PushRecord => StoredSchema.parse(JSON.parse(text));

/** The record of a push that has started. */
export function recordOf(request: StartRequest, startedAt: string, resumeKey?: string): PushRecord {
  const { options, ...order } = request;
  const record = { order, startedAt, muted: options?.action === 'mute', ...(resumeKey !== undefined && { resumeKey }) };
  return options?.action === 'sound_on' ? withSound(record, options.soundFile, options.loop ?? false) : record;
}

/** The record after a change of the push: whether it is muted, plays a sound file, and has its publisher. */
export function withView(record: PushRecord, { muted, soundEnabled, publisherAway, codecs }: StateView): PushRecord {
  const { lostAt: _, soundFile, codecs: before, ...rest } = record;
  const foreign = codecs ? storedCodecs(codecs) : before;
  return {
    ...rest,
    muted,
    ...(foreign && { codecs: foreign }),
    ...(publisherAway && { lostAt: publisherAway.since }),
    ...(soundEnabled && soundFile !== undefined && { soundFile }),
  };
}

type StateView = Pick<TransponderView, 'muted' | 'soundEnabled' | 'publisherAway' | 'codecs'>;

/** Those that are passed through; the others are what a push begins with anyway. */
interface StoredCodecs {
  readonly video?: string;
  readonly audio?: string;
}

function storedCodecs({ video, audio }: NonNullable<TransponderView['codecs']>): StoredCodecs | undefined {
  const passed = publishedCodecs({ ...(video && { video }), audio });
  if (!passed.video && !passed.audio) return undefined;
  return { ...(passed.video && video && { video }), ...(passed.audio && { audio }) };
}

/** As views call it. */
const OPUS = 'Opus';

/** What the publisher of a push has sent, as far as it was passed through. */
function publishedCodecs({ video, audio }: StoredCodecs): PublishedCodecs {
  const codec = (Object.keys(VIDEO_FOURCC) as ForeignVideoCodec[]).find((name) => VIDEO_FOURCC[name] === video);
  return { ...(codec && { video: codec }), ...(audio === OPUS && { audio: 'opus' }) };
}

/** A sound file is played from now on. One that is not repeated is not played again. */
export function withSound(record: PushRecord, soundFile: string, loop: boolean): PushRecord {
  const { soundFile: _, ...rest } = record;
  return { ...rest, ...(loop && { soundFile }) };
}

/** Standby was switched (`undefined`: it was not), or its picture was changed. */
export function withStandby(record: PushRecord, held: boolean | undefined, picture: PictureChange): PushRecord {
  const standby = { ...(record.order['standby'] as object | undefined), ...picture };
  return { ...record, order: { ...record.order, standby }, ...(held !== undefined && { held }) };
}

export const isSameRecord = (a: PushRecord, b: PushRecord): boolean => isDeepStrictEqual(a, b);

/** Whether the push goes on without its publisher. */
export const hasStandby = ({ order }: PushRecord): boolean =>
  typeof order['standby'] === 'object' && order['standby'] !== null;

/** What a push keeps. A publisher whose loss was not stored was lost with the gateway that had it. */
export const identityOf = (id: string, { startedAt, lostAt, codecs }: PushRecord, now: Date): PushIdentity => ({
  mediaSessionId: id,
  startedAt: startedAt === undefined ? now : new Date(startedAt),
  awaySince: lostAt === undefined ? now : new Date(lostAt),
  ...(codecs && { published: publishedCodecs(codecs) }),
});

/** The request that continues a push: without a publisher if it has standby, with the audio that it had. */
export function continuedRequest({ muted, soundFile }: PushRecord, request: StartRequest): StartRequest {
  const { options: _, standby, ...rest } = request;
  return {
    ...rest,
    ...(standby !== undefined && { standby: standby && { ...standby, startWithStandby: true } }),
    ...(soundFile !== undefined
      ? { options: { action: 'sound_on', soundFile, loop: true } }
      : muted && { options: { action: 'mute' } }),
  };
}

/** What continues pushes. */
export interface ContinuedPushes extends Pick<
  TransponderControl,
  'mute' | 'unmute' | 'soundOn' | 'soundOff' | 'standby'
> {
  start(request: StartRequest, origin?: RequestOrigin, continued?: PushIdentity): Promise<TransponderView>;
}

export interface Continuation {
  readonly id: string;
  readonly record: PushRecord;
  /** The order, checked. */
  readonly request: StartRequest;
  readonly identity: PushIdentity;
}

/** Starts a stored push under its id, as it was left. */
export async function continuePush(
  pushes: ContinuedPushes,
  { id, record, request, identity }: Continuation,
  logger: Logger,
): Promise<TransponderView> {
  let view: TransponderView;
  try {
    view = await pushes.start(continuedRequest(record, request), {}, identity);
  } catch (thrown) {
    const { code, message: reason } = toGatewayError(thrown);
    // Another node may not have the file. The push is worth more.
    if (!code.startsWith('SOUND_FILE_')) throw thrown;
    logger.warn({ transponder: id, code, reason }, 'a stored push goes on without its sound file');
    view = await pushes.start(continuedRequest(withSound(record, '', false), request), {}, identity);
  }
  if (record.muted) pushes.mute(id);
  if (record.held) await pushes.standby(id, true, {});
  return view;
}

/** Brings a push that was started by an earlier record to the state of a later one. */
export async function alignPush(
  pushes: ContinuedPushes,
  id: string,
  earlier: PushRecord,
  { order, muted, held, soundFile }: PushRecord,
  logger: Logger,
): Promise<void> {
  if (muted) pushes.mute(id);
  else pushes.unmute(id);
  if (soundFile === undefined) pushes.soundOff(id);
  else if (soundFile !== earlier.soundFile)
    try {
      await pushes.soundOn(id, soundFile, true);
    } catch (thrown) {
      const { code, message: reason } = toGatewayError(thrown);
      logger.warn({ transponder: id, code, reason }, 'a stored push goes on without its sound file');
    }
  const picture = changedPicture(earlier.order['standby'], order['standby']);
  if (held || Object.keys(picture).length > 0) await pushes.standby(id, held || undefined, picture);
}

const PICTURE = ['source', 'file', 'color', 'text'] as const;

function changedPicture(before: unknown, after: unknown): PictureChange {
  if (typeof after !== 'object' || after === null) return {};
  const [old, now] = [before as Partial<StandbyRequest> | undefined, after as Partial<StandbyRequest>];
  return PICTURE.some((key) => old?.[key] !== now[key])
    ? Object.fromEntries(PICTURE.filter((key) => now[key] !== undefined).map((key) => [key, now[key]]))
    : {};
}
