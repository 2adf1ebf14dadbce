import type { NodeRecord } from '../../cluster/cluster-store.ts';

/**
 * The URL of a request at a node. The client's request target may be a whole URL, or begin with `//`: its host never
 * counts.
 *
 * @param target path and query
 */
export function urlAtNode({ url }: Pick<NodeRecord, 'url'>, target: string): URL {
  const path = target.startsWith('/') ? target : `/${target.replace(/^[a-z]+:\/\/[^/?#]*\/?/i, '')}`;
  const result = new URL(new URL(url).origin + path);
  result.hash = '';
  return result;
}
