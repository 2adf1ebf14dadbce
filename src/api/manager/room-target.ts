import { GatewayError } from '../../errors.ts';
import { isStreamName, STREAM_NAME_RULE } from '../../streams/stream-name.ts';

/** Where the WebSocket of a client of rooms goes. */
export type RoomTarget = { readonly path: string } & (
  | { readonly to: 'any' }
  /** The node that owns the stream, whose players the client writes to. */
  | { readonly to: 'owner'; readonly stream: string }
  /** The node that the client names, as with Red5's Stream Manager. */
  | { readonly to: 'node'; readonly host: string }
);

/** The first segment of the path by which Red5's clients ask for the proxy of the Stream Manager. */
const PROXY_APP = 'streammanager';

/**
 * Reads the URL of an upgrade request: `/{app}/{scope}`, with `?stream=` of a publisher, or as a client of Red5's Stream
 * Manager `/{proxy}?host={node}&app={app}`.
 *
 * @param url path and query
 * @throws {GatewayError} INVALID_REQUEST
 */
export function roomTarget(url: string): RoomTarget {
  const [path = '', ...rest] = url.split('?');
  const query = new URLSearchParams(rest.join('?'));
  const [proxy, ...scope] = path.split('/').filter((segment) => segment !== '');
  const host = query.get('host');
  if (host !== null || proxy === PROXY_APP) {
    const app = query.get('app');
    if (!host || !app)
      throw new GatewayError('INVALID_REQUEST', 'The proxy needs the parameters host (a node) and app.');
    query.delete('host');
    query.delete('app');
    const segments = [...app.split('/').map(encodeURIComponent), ...scope];
    return { to: 'node', host, path: `/${segments.join('/')}?${query.toString()}` };
  }
  const stream = query.get('stream');
  if (!stream) return { to: 'any', path: url };
  if (!isStreamName(stream)) throw new GatewayError('INVALID_REQUEST', `stream: ${STREAM_NAME_RULE}.`);
  return { to: 'owner', stream, path: url };
}
