import type { z } from 'zod';
import { GatewayError } from '../../errors.ts';

export type BodySchema = z.ZodObject;

export interface ParsedBody<T extends BodySchema> {
  readonly value: z.output<T>;
  /** Fields that the schema does not know, as paths: `options.volume`. */
  readonly ignored: readonly string[];
}

/**
 * Checks a body that was parsed from JSON. A missing body is an empty object, and a field that is null counts as not
 * sent, because generated clients send all fields. Fields that the schema does not know are ignored, as WCS does.
 *
 * @throws {GatewayError} INVALID_REQUEST that names every field that is wrong and what it must be
 */
export function parseBody<T extends BodySchema>(schema: T, body: unknown): ParsedBody<T> {
  const object = body ?? {};
  if (typeof object !== 'object' || Array.isArray(object))
    throw new GatewayError('INVALID_REQUEST', 'The body must be a JSON object: {…}.');
  const given = withoutNulls(object);
  const parsed = schema.safeParse(given);
  if (parsed.success) return { value: parsed.data, ignored: unknownFields(given, parsed.data) };
  const problems = new Set(parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}.`));
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(schema.shape, name));
  const hint =
    unknown.length > 0
      ? [`Unknown here: ${unknown.slice(0, 5).map(quote).join(', ')}. Known: ${Object.keys(schema.shape).join(', ')}.`]
      : [];
  throw new GatewayError('INVALID_REQUEST', [...problems, ...hint].join(' '));
}

const quote = (name: string): string => JSON.stringify(name.slice(0, 60));

function unknownFields(given: object, known: object, path = ''): string[] {
  return Object.entries(given).flatMap(([name, value]) => {
    if (!Object.hasOwn(known, name)) return [path + name];
    const inner: unknown = known[name as never];
    return isPlainObject(value) && isPlainObject(inner) ? unknownFields(value, inner, `${path}${name}.`) : [];
  });
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
