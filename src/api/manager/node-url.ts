import type { NodeRecord } from '../../cluster/cluster-store.ts';
import { GatewayError } from '../../errors.ts';

/** As URLs are parsed: `\` separates too, and a dot may be encoded. Those would lead out of the path that a route has checked. */
const DOT_SEGMENT = /[/\\](?:\.|%2e){1,2}(?:[/\\?#]|$)/i;

/**
 * The URL of a request at a node. The client's request target may be a whole URL, or begin with `//`: its host never
 * counts.
 *
 * @param target path and query
 * @throws {GatewayError} ROUTE_NOT_FOUND for a path with dot segments
 */
export function urlAtNode({ url }: Pick<NodeRecord, 'url'>, target: string): URL {
  const path = target.startsWith('/') ? target : `/${target.replace(/^[a-z]+:\/\/[^/?#]*\/?/i, '')}`;
  if (DOT_SEGMENT.test(path.split('?', 1)[0]!))
    throw new GatewayError('ROUTE_NOT_FOUND', 'The path must not have the segments "." and "..".');
  const result = new URL(new URL(url).origin + path);
  result.hash = '';
  return result;
}
