import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import type { StartRequest, TransponderFilter } from '../../outputs/push/transponder-view.ts';
import { isStreamName, MAX_STREAM_NAME_LENGTH } from '../../streams/stream-name.ts';

/** What the bodies of `/rest-api/push/*` may hold. Messages are complete after the name of the field. */

const must = (what: string) => ({
  error: ({ input }: { input?: unknown }) =>
    input === undefined ? `is missing: it must be ${what}` : `must be ${what}${remedy(what, input)}`,
});

/** The commonest mistakes are numbers and flags in quotes. */
function remedy(what: string, input: unknown): string {
  if (typeof input === 'string')
    return what.includes('number') || what.includes('true') ? ': it is a string, write it without quotes' : '';
  if (typeof input === 'object') return Array.isArray(input) ? ': it is an array' : ': it is an object';
  return what.includes(typeof input) ? '' : `: it is a ${typeof input}`;
}

/** Clients that always send all fields send 0 for "not set", as WCS's documentation does for width and height. */
const number = (what: string, isValid: (value: number) => boolean) => {
  const rule = must(`${what}, or 0 for as it is`);
  return z
    .number(rule)
    .refine((value) => value === 0 || (Number.isInteger(value) && isValid(value)), rule)
    .transform((value) => (value === 0 ? undefined : value))
    .optional();
};
const between = (low: number, high: number) => (value: number) => value >= low && value <= high;
const flag = z.boolean(must('true or false')).optional();
/** Control characters would break log lines, file names and AMF strings. */
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;
const text = (what: string, longest: number) => {
  const rule = must(`${what} of 1 to ${longest} characters, without control characters`);
  return z
    .string(rule)
    .refine((value) => value.length >= 1 && value.length <= longest && !CONTROL_CHARACTER.test(value), rule);
};

const streamNameRule = must(`a string of 1 to ${MAX_STREAM_NAME_LENGTH} characters, without control characters`);
const streamName = z.string(streamNameRule).refine(isStreamName, streamNameRule);
const rtmpUrl = text('a URL such as "rtmp://HOST:1935/live", a string', 4096);
const mediaSessionId = text('the mediaSessionId that /push/startup answered with, a string', 128);
const soundFile = text('the name of a WAV file in the media directory, a string', 255);
const options = z.discriminatedUnion(
  'action',
  [
    z.strictObject({ action: z.undefined().optional() }),
    z.strictObject({ action: z.literal('mute') }),
    z.strictObject({ action: z.literal('sound_on'), soundFile, loop: flag }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union'
        ? 'must be "mute" or "sound_on", or left out'
        : 'must be an object such as {"action": "mute"}',
  },
);

/** The largest frame is 8K. Odd sizes are taken: the encoder rounds to even ones. */
export const StartSchema = z.strictObject({
  streamName,
  rtmpUrl,
  width: number('a whole number from 16 to 8192', between(16, 8192)),
  height: number('a whole number from 16 to 4320', between(16, 4320)),
  fps: number('a whole number from 1 to 120', between(1, 120)),
  keyFrameInterval: number('a whole number of frames from 1 to 1200', between(1, 1200)),
  rtmpFlashVersion: text('a string', 64).optional(),
  rtmpTransponderFullUrl: flag,
  options: options.optional(),
}) satisfies z.ZodType<StartRequest>;

export const FilterSchema = z.strictObject({
  mediaSessionId: mediaSessionId.optional(),
  // The published name too: it has a prefix, or is the end of the URL.
  streamName: text('a string', 4096).optional(),
  rtmpUrl: rtmpUrl.optional(),
}) satisfies z.ZodType<TransponderFilter>;

export const TransponderIdSchema = z.strictObject({ mediaSessionId });
export const SoundOnSchema = z.strictObject({ mediaSessionId, soundFile, loop: flag });
export const NothingSchema = z.strictObject({});

/**
 * Checks a body that JSON made. No body is an empty object, and a field that is null is one that was not sent: generated
 * clients send all fields.
 *
 * @throws {GatewayError} INVALID_REQUEST that names every field that is wrong and what it must be.
 */
export function parseBody<T extends z.ZodObject>(schema: T, body: unknown): z.output<T> {
  const object = body ?? {};
  if (typeof object !== 'object' || Array.isArray(object))
    throw new GatewayError('INVALID_REQUEST', 'The body must be a JSON object: {…}.');
  const parsed = schema.safeParse(withoutNulls(object));
  if (parsed.success) return parsed.data;
  const fields = Object.keys(schema.shape);
  throw new GatewayError('INVALID_REQUEST', parsed.error.issues.map((issue) => describeIssue(issue, fields)).join(' '));
}

const withoutNulls = (object: object): object =>
  Object.fromEntries(
    Object.entries(object)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [
        name,
        isPlainObject(value) ? Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null)) : value,
      ]),
  );
const isPlainObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function describeIssue(issue: z.core.$ZodIssue, fields: readonly string[]): string {
  if (issue.code !== 'unrecognized_keys') return `${issue.path.join('.')} ${issue.message}.`;
  const names = issue.keys.slice(0, 5).map((key) => JSON.stringify([...issue.path, key].join('.').slice(0, 60)));
  const known =
    issue.path.length > 0
      ? 'action, soundFile and loop, the last two with the action "sound_on"'
      : fields.join(', ') || 'none';
  return `Unknown field ${names.join(', ')}. Known here: ${known}.`;
}
