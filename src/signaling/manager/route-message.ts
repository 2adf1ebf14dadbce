/** Where the messages of a page go. Pure. */

export type Route =
  /** Only nodes and managers tell each other. */
  | { readonly to: 'nowhere' }
  /** To the node of this stream session. `name`: of the stream, for a session that is not known. */
  | { readonly to: 'session'; readonly mediaSessionId: string; readonly name?: string | undefined }
  /** Begins a stream session on the node that owns the stream, or, if `places`, on the best one. */
  | { readonly to: 'stream'; readonly mediaSessionId: string; readonly name: string; readonly places: boolean }
  /** To the node on which the page was identified. */
  | { readonly to: 'home' };

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export function routeOf(message: string, argument: unknown): Route {
  const { mediaSessionId, name } = (argument ?? {}) as { readonly mediaSessionId?: unknown; readonly name?: unknown };
  const id = textOf(mediaSessionId);
  const stream = textOf(name);
  switch (message) {
    case 'roomStream':
      return { to: 'nowhere' };
    case 'publishStream':
    case 'playStream':
      // A node refuses what has no id or no name.
      if (id === '' || stream === '') return { to: 'home' };
      return { to: 'stream', mediaSessionId: id, name: stream, places: message === 'publishStream' };
    case 'availableStream':
      return stream === '' ? { to: 'home' } : { to: 'session', mediaSessionId: '', name: stream };
    case 'unPublishStream':
    case 'stopStream':
    case 'sendStreamEvent':
    case 'snapshot':
      return { to: 'session', mediaSessionId: id, name: stream === '' ? undefined : stream };
    default:
      return { to: 'home' };
  }
}

/** States after which nothing follows for a stream session. */
const FINAL: ReadonlySet<unknown> = new Set(['UNPUBLISHED', 'STOPPED', 'FAILED']);

/** The stream session that ends with this message of a node. */
export function endedSession(message: string, argument: unknown): string | undefined {
  if (message !== 'notifyStreamStatusEvent') return undefined;
  const { mediaSessionId, status } = (argument ?? {}) as {
    readonly mediaSessionId?: unknown;
    readonly status?: unknown;
  };
  return FINAL.has(status) && typeof mediaSessionId === 'string' ? mediaSessionId : undefined;
}
