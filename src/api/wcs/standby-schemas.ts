import { z } from 'zod';
import type { PictureChange, StandbyRequest } from '../../outputs/push/transponder-control.ts';
import { flag, mediaSessionId, must, text, toBoolean, toNumber } from './fields.ts';

/** The fields of standby: in `/push/startup` and `/push/standby`. */

const MAX_MS = 86_400_000;

const milliseconds = (description: string) => {
  const rule = must(`a whole number of milliseconds from 0 to ${MAX_MS}`);
  return z.preprocess(toNumber, z.int(rule).min(0, rule).max(MAX_MS, rule)).exactOptional().meta({ description });
};

const picture = {
  source: z
    .enum(['color', 'image', 'video', 'none'], must('"color", "image", "video" or "none"'))
    .exactOptional()
    .meta({ description: 'What is shown: a colour, a file in media_dir, or nothing.' }),
  file: text('the name of a file in the media directory, a string', 255)
    .exactOptional()
    .meta({ description: 'For image (PNG or JPEG) and video.' }),
  color: z
    .string(must('a colour such as "#202020"'))
    .regex(/^#[\da-fA-F]{6}$/, must('a colour such as "#202020"'))
    .exactOptional()
    .meta({ description: '#rrggbb' }),
  text: z
    .union(
      [z.literal(''), text('a string', 200)],
      must('a string of at most 200 characters, without control characters'),
    )
    .exactOptional()
    .meta({ description: 'Drawn on the picture. Empty: no text.' }),
} satisfies Record<keyof PictureChange, z.ZodType>;

/** What of a standby picture is to be changed. */
export const PictureChangeSchema = z.object(picture);

export const StandbyFieldsSchema = z.object({
  freezeMs: milliseconds('How long the last frame is repeated first.'),
  ...picture,
  holdMs: milliseconds('How long the push goes on without a publisher. 0: until it is terminated.'),
  startWithStandby: z
    .preprocess(toBoolean, z.boolean(must('true or false')))
    .exactOptional()
    .meta({ description: 'Push before a stream of this name is published.' }),
});

/** A standby of which the settings supply what is missing. */
export type StandbyInput = z.output<typeof StandbySchema>;

/** `true`: as the settings say. */
export const StandbySchema = z.preprocess(
  toBoolean,
  z.union([z.boolean(), StandbyFieldsSchema], {
    error: ({
      input,
      errors,
    }: {
      input?: unknown;
      errors?: readonly (readonly { path: PropertyKey[]; message: string }[])[];
    }) =>
      typeof input === 'object' && !Array.isArray(input)
        ? `is wrong: ${(errors?.at(-1) ?? []).map(({ path, message }) => `${path.join('.')} ${message}`).join(', ')}`
        : 'must be true, false, or an object such as {"text": "Back soon"}',
  }),
);

export const standbyRequest = (input: StandbyInput, defaults: StandbyRequest): StandbyRequest | false => {
  if (typeof input === 'boolean') return input && defaults;
  return { ...defaults, ...input };
};

/** What of a push's standby is to be changed while it runs. */
export const StandbySwitchSchema = z.object({
  mediaSessionId,
  on: flag('true: standby until switched off. false: the live stream, as soon as it has video. Unset: as it is.'),
  ...picture,
});
