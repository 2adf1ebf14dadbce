/** The rule for stream names, the same at every door. Pure. */

/** In UTF-16 code units: long enough for generated names, short enough for logs and file names. */
export const MAX_STREAM_NAME_LENGTH = 256;

/** Follows the name of a field in an error message. */
export const STREAM_NAME_RULE = `must have 1 to ${MAX_STREAM_NAME_LENGTH} characters and no control characters`;

/**
 * C0 and C1 control characters and the line separators of Unicode: they break log lines, file names and AMF strings.
 */
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

export function isStreamName(value: string): boolean {
  return value.length >= 1 && value.length <= MAX_STREAM_NAME_LENGTH && !CONTROL_CHARACTER.test(value);
}
