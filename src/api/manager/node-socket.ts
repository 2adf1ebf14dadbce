import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { inBackground } from '../../runtime/in-background.ts';

/** A node has answered the upgrade request with something else than a WebSocket. */
export interface NodeRefusal {
  readonly status: number;
  readonly body: string;
}

export interface NodeSocketOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly protocols: string[];
  readonly maxMessageBytes: number;
  /** Gives the attempt up. */
  readonly signal: AbortSignal;
}

/** Milliseconds for the answer of a node. */
const HANDSHAKE_TIMEOUT_MS = 5000;
const MAX_REFUSAL_BYTES = 8 * 1024;

/**
 * Opens a WebSocket at a node.
 *
 * @returns `undefined` if the node cannot be reached
 */
export function openNodeSocket(
  url: URL,
  { headers, protocols, maxMessageBytes, signal }: NodeSocketOptions,
): Promise<WebSocket | NodeRefusal | undefined> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols, {
      headers,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: maxMessageBytes,
      perMessageDeflate: false,
      allowSynchronousEvents: false,
    });
    const giveUp = (): void => socket.terminate();
    signal.addEventListener('abort', giveUp, { once: true });
    socket.once('open', () => {
      signal.removeEventListener('abort', giveUp);
      resolve(socket);
    });
    const lost = (): void => resolve(undefined);
    socket.once('unexpected-response', (_, response: IncomingMessage) => {
      socket.off('close', lost);
      inBackground(readRefusal(response).then(resolve).finally(giveUp));
    });
    // `close` follows.
    socket.on('error', () => undefined);
    socket.once('close', lost);
  });
}

async function readRefusal(response: IncomingMessage): Promise<NodeRefusal> {
  let body = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      body += chunk as string;
      if (body.length > MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // Cut off: the status says enough.
  }
  return { status: response.statusCode ?? 502, body };
}
