import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

/** A stream of server-sent events to one client. */

/** Milliseconds between two signs of life, so that proxies keep the connection. */
const ALIVE_MS = 15_000;
/** Bytes that may wait for a client. One that does not read is cut off, and begins anew. */
const MAX_WAITING = 4 * 1024 * 1024;

export class EventStream {
  readonly #response: ServerResponse;
  readonly #alive: NodeJS.Timeout;

  /** Answers the request. @param onEnd the connection has ended */
  constructor(reply: FastifyReply, onEnd: () => void) {
    reply.hijack();
    this.#response = reply.raw;
    this.#response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx collects answers otherwise.
      'x-accel-buffering': 'no',
    });
    this.#alive = setInterval(() => this.#write(': alive\n\n'), ALIVE_MS);
    this.#response.once('close', () => {
      clearInterval(this.#alive);
      onEnd();
    });
  }

  send(event: string, data: string, id?: string): void {
    this.#write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`);
  }

  /** Idempotent. */
  end(): void {
    this.#response.end();
  }

  #write(text: string): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    this.#response.write(text);
    if (this.#response.writableLength > MAX_WAITING) this.#response.destroy();
  }
}
