import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GatewayError } from '../errors.ts';

/** Answers an upgrade request with an error, and closes the connection. */
export function refuseUpgrade(socket: Duplex, { httpStatus, code, message }: GatewayError): void {
  answerUpgrade(socket, httpStatus, JSON.stringify({ code, message }));
}

/** Answers an upgrade request with a status and a JSON body, and closes the connection. */
export function answerUpgrade(socket: Duplex, status: number, body: string): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
