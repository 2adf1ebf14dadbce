import type { WebSocket } from 'ws';

export interface KeepAliveOptions {
  /** Milliseconds between two pings. They also keep connections open through proxies, which drop idle ones after 30 to 60 s. */
  readonly intervalMs?: number | undefined;
  /** Default: at once. */
  readonly ping?: (socket: WebSocket) => void;
}

const PING_INTERVAL_MS = 10_000;

/** Pings WebSockets, and ends those without a sign of life since the last ping. */
export class KeepAlive {
  readonly #sockets: Iterable<WebSocket>;
  readonly #alive = new WeakSet<WebSocket>();
  readonly #ping: (socket: WebSocket) => void;
  readonly #timer: NodeJS.Timeout;

  /** @param sockets all that are open now; each must be {@link watch}ed */
  constructor(sockets: Iterable<WebSocket>, { intervalMs, ping = (socket) => socket.ping() }: KeepAliveOptions = {}) {
    this.#sockets = sockets;
    this.#ping = ping;
    this.#timer = setInterval(() => this.#check(), intervalMs ?? PING_INTERVAL_MS).unref();
  }

  watch(socket: WebSocket): void {
    const alive = (): void => void this.#alive.add(socket);
    alive();
    for (const event of ['pong', 'message'] as const) socket.on(event, alive);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    for (const socket of this.#sockets) {
      if (this.#alive.delete(socket)) this.#ping(socket);
      else socket.terminate();
    }
  }
}
