import { GatewayError } from '../../errors.ts';

/** Segments of a scope's path: the rooms have the same limit. */
const MAX_SEGMENTS = 8;

/**
 * The scope that a client asks for: the path of its URL, the parameter `scope`, or both, one after the other. So
 * `/live/room1`, `/live?scope=room1` and the `app` of an RTMP client mean the same scope.
 *
 * @param path without the query; percent-encoded
 * @throws {GatewayError} INVALID_REQUEST
 */
export function scopeOf(path: string, scope: string | null): string {
  const segments = [...path.split('/').map(decode), ...(scope ?? '').split('/')].filter((segment) => segment !== '');
  if (segments.length === 0)
    throw new GatewayError('INVALID_REQUEST', 'The URL must name a scope, such as /live/room1 or /live?scope=room1.');
  if (segments.length > MAX_SEGMENTS)
    throw new GatewayError('INVALID_REQUEST', `A scope has at most ${MAX_SEGMENTS} segments.`);
  return segments.join('/');
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new GatewayError('INVALID_REQUEST', 'The path of the URL is not percent-encoded UTF-8.');
  }
}
