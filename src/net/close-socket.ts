import type { WebSocket } from 'ws';

/** Bytes of the reason of a close (RFC 6455, 5.5.1): `ws` throws above them. */
const MAX_REASON_BYTES = 123;
/** Policy violation: in place of codes that must not be sent. */
const POLICY_VIOLATION = 1008;

type Closable = Pick<WebSocket, 'close'>;

/** The only way to close a WebSocket with a code: never throws. The reason is cut; it must not contain text of clients. */
export function closeWebSocket(socket: Closable, code: number, reason = ''): void {
  // eslint-disable-next-line no-restricted-syntax
  socket.close(isSendable(code) ? code : POLICY_VIOLATION, cutReason(reason));
}

/** The longest beginning that has at most 123 bytes as UTF-8. */
export function cutReason(reason: string): string {
  const bytes = Buffer.from(reason);
  let end = Math.min(bytes.length, MAX_REASON_BYTES);
  // Not within a character: continuation bytes are 10xxxxxx.
  while (end < bytes.length && end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

const isSendable = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
