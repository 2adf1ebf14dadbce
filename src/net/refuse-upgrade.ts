import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GatewayError } from '../errors.ts';

/** Answers an upgrade request with an error, and closes the connection. */
export function refuseUpgrade(socket: Duplex, { httpStatus, code, message }: GatewayError): void {
  answerUpgrade(socket, httpStatus, JSON.stringify({ code, message }));
}

/** Answers an upgrade request with a status and a JSON body, and closes the connection. */
export function answerUpgrade(socket: Duplex, status: number, body: string): void {
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
