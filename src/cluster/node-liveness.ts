import { connect } from 'node:net';
import { NODE_LATE_MS, type ClusterStore } from './cluster-store.ts';

/** Milliseconds until a connection attempt gives no answer. */
const PROBE_TIMEOUT_MS = 500;

/**
 * Whether a node is gone: it is not in the cluster any more, nothing listens on its port, or it hangs. A wrong answer
 * cannot harm: the name gets a new epoch, and the old owner ends its stream when it sees that.
 */
export function createIsGone(
  store: Pick<ClusterStore, 'node' | 'heartbeatAgeMs'>,
  probe: (url: string) => Promise<Liveness> = livenessOf,
): (node: string) => Promise<boolean> {
  return async (id) => {
    const [node, ageMs] = await Promise.all([store.node(id), store.heartbeatAgeMs(id)]);
    if (node === undefined || ageMs === undefined) return true;
    const liveness = await probe(node.url);
    return liveness === 'refused' || (liveness === 'silent' && ageMs > NODE_LATE_MS);
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
