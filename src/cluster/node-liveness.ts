import { connect } from 'node:net';
import type { ClusterStore } from './cluster-store.ts';

/** Milliseconds until a connection attempt gives no answer. */
const PROBE_TIMEOUT_MS = 500;

/**
 * Whether a node is certainly gone: it has written no heartbeat for its time to live, or nothing listens on its port any
 * more. A wrong answer cannot harm: the name gets a new epoch, and the old owner ends its stream when it sees that.
 */
export function createIsGone(
  store: Pick<ClusterStore, 'node'>,
  refusesConnections: (url: string) => Promise<boolean> = isRefused,
): (node: string) => Promise<boolean> {
  return async (id) => {
    const node = await store.node(id);
    return node === undefined || refusesConnections(node.url);
  };
}

/** Whether the machine answers that nothing listens there. No answer says nothing. */
function isRefused(url: string): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || (protocol === 'https:' ? 443 : 80)),
      timeout: PROBE_TIMEOUT_MS,
    });
    const end = (refused: boolean): void => {
      socket.destroy();
      resolve(refused);
    };
    socket.once('connect', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'));
  });
}

/** What a node says: `silent` if it hangs, or its machine cannot be reached. */
export type Liveness = 'answers' | 'refused' | 'silent';

/** Asks a node, for at most half a second. */
export async function livenessOf(url: string): Promise<Liveness> {
  if (await answersAt(url)) return 'answers';
  return (await isRefused(url)) ? 'refused' : 'silent';
}

/** Whether a gateway at this URL says within half a second that it lives: one that hangs, or whose media workers do, does not. */
export async function answersAt(url: string): Promise<boolean> {
  try {
    const answer = await fetch(new URL('/health/live', url), { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
