import { z } from 'zod';

/** Kinds of fields of request bodies. Error messages continue after the name of the field. */

export const must = (what: string) => ({
  error: ({ input }: { input?: unknown }) =>
    input === undefined ? `is missing: it must be ${what}` : `must be ${what}${remedy(what, input)}`,
});

/** Names the type of a value that has the wrong one. */
function remedy(what: string, input: unknown): string {
  if (typeof input === 'string') return '';
  if (typeof input === 'object') return Array.isArray(input) ? ': it is an array' : ': it is an object';
  return what.includes(typeof input) ? '' : `: it is a ${typeof input}`;
}

export const toNumber = (value: unknown): unknown =>
  typeof value === 'string' && /^\s*[+-]?\d+(?:\.\d+)?\s*$/.test(value) ? Number(value) : value;
export const toBoolean = (value: unknown): unknown =>
  typeof value === 'string' && /^\s*(?:true|false)\s*$/i.test(value) ? value.trim().toLowerCase() === 'true' : value;

export const flag = (description: string) =>
  z
    .preprocess(toBoolean, z.boolean(must('true or false')))
    .optional()
    .meta({ description });
/** Control characters would break log lines, file names and AMF strings. */
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;
export const text = (what: string, longest: number) => {
  const rule = must(`${what} of 1 to ${longest} characters, without control characters`);
  return z
    .string(rule)
    .min(1, rule)
    .max(longest, rule)
    .refine((value) => !CONTROL_CHARACTER.test(value), rule);
};

export const mediaSessionId = text('the mediaSessionId from the answer of /push/startup, a string', 128).meta({
  description: 'From the answer of /push/startup.',
});
