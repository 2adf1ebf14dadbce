import type { RawData, WebSocket } from 'ws';
import { closeWebSocket } from '../../net/close-socket.ts';
import { guarded } from '../../runtime/in-background.ts';

export interface JoinSocketsOptions {
  /** Bytes that may wait for one side. */
  readonly maxQueuedBytes: number;
  /** A side does not read: its connection is cut. */
  readonly onSlow: (side: 'client' | 'node', queuedBytes: number) => void;
}

/** Milliseconds in which a peer answers a close. */
const CLOSE_GRACE_MS = 500;
const GOING_AWAY = 1001;
/** The node is lost; the client may connect again. */
const SERVICE_RESTART = 1012;
/** Codes that a peer may not send: no code, and no close at all. */
const NO_STATUS = 1005;
const ABNORMAL = 1006;

/** Passes the messages of two open WebSockets on to each other. When one closes, the other is closed with the same code. */
export function joinSockets(client: WebSocket, node: WebSocket, { maxQueuedBytes, onSlow }: JoinSocketsOptions): void {
  const end = (): void => {
    client.terminate();
    node.terminate();
  };
  const pass = (
    from: WebSocket,
    to: WebSocket,
    side: 'client' | 'node',
    lost: [code: number, reason: string],
  ): void => {
    from.on(
      'message',
      guarded(end, (data: RawData, binary: boolean) => {
        if (to.readyState !== to.OPEN) return;
        if (to.bufferedAmount + sizeOf(data) > maxQueuedBytes) {
          onSlow(side, to.bufferedAmount);
          return to.terminate();
        }
        to.send(data, { binary }, () => undefined);
      }),
    );
    from.once(
      'close',
      guarded(end, (code: number, reason: Buffer) => {
        if (code === ABNORMAL) closeSocket(to, ...lost);
        else if (code === NO_STATUS) closeSocket(to);
        else closeSocket(to, code, String(reason));
      }),
    );
  };
  pass(client, node, 'node', [GOING_AWAY, 'client lost']);
  pass(node, client, 'client', [SERVICE_RESTART, 'NODE_LOST']);
}

/** Closes a WebSocket, also if its peer does not answer. */
export function closeSocket(socket: WebSocket, code?: number, reason?: string): void {
  if (code === undefined) socket.close();
  else closeWebSocket(socket, code, reason);
  const impatience = setTimeout(() => socket.terminate(), CLOSE_GRACE_MS);
  socket.once('close', () => clearTimeout(impatience));
}

const sizeOf = (data: RawData): number =>
  Array.isArray(data) ? data.reduce((sum, { length }) => sum + length, 0) : data.byteLength;
