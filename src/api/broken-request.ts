import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { GatewayError } from '../errors.ts';
import { errorBody } from './error-reply.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/** Milliseconds in which a client can read why its request was rejected, before its socket is destroyed. */
const LINGER_MS = 1000;

/**
 * Answers on the socket what never becomes a request: bytes that are not HTTP, and requests that are not sent in time.
 * Then ends it.
 */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const reason =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? new GatewayError('REQUEST_TIMEOUT', 'The request was not sent completely in time.')
      : new GatewayError('INVALID_REQUEST', 'This is not a complete HTTP request.');
  const body = JSON.stringify(errorBody(reason, '', wallClockMs()));
  const headers = [
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  const { httpStatus } = reason;
  socket.end([`HTTP/1.1 ${httpStatus} ${STATUS_CODES[httpStatus]}`, ...headers, '', body].join('\r\n'));
  // A client that does not close its side keeps the socket open. Destroying it at once would lose the answer if more
  // bytes are in flight.
  const deadline = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(deadline));
}
