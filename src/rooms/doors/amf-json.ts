import { EcmaArray, type Amf0Object, type Amf0Value } from '../../media/amf0.ts';
import type { JsonValue } from '../room-client.ts';

/**
 * AMF0 values as JSON: dates become ISO 8601 texts, associative arrays become objects, and what JSON cannot express
 * becomes null. The decoder has bounded the depth.
 */
export function toJson(value: Amf0Value): JsonValue {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map(toJson);
  const entries = Object.entries(value instanceof EcmaArray ? value.entries : value);
  return Object.fromEntries(entries.map(([key, entry]) => [key, toJson(entry)]));
}

/** @returns an object without a prototype for each object, so that keys such as `__proto__` are harmless */
export function toAmf(value: JsonValue): Amf0Value {
  if (Array.isArray(value)) return value.map(toAmf);
  if (typeof value !== 'object' || value === null) return value;
  const result = Object.create(null) as Amf0Object;
  for (const [key, entry] of Object.entries(value)) result[key] = toAmf(entry);
  return result;
}
