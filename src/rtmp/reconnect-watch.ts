import { EventEmitter } from 'node:events';
import type { Amf0Value } from '../media/amf0.ts';
import { EcmaArray } from '../media/amf0.ts';
import { RECONNECT_REQUEST, statusOf } from './refusals.ts';
import type { RtmpConnection } from './rtmp-connection.ts';
import type { Redact } from './server-words.ts';

/** A server's request that its publisher makes another connection. */
export interface ReconnectRequest {
  /** A URL, or relative to the present one; without it: the same. */
  readonly tcUrl?: string;
  readonly description: string;
}

interface ReconnectWatchEvents {
  request: [ReconnectRequest];
}

/** Notices `NetConnection.Connect.ReconnectRequest` (Enhanced RTMP), from the first command on. */
export class ReconnectWatch extends EventEmitter<ReconnectWatchEvents> {
  readonly #redact: Redact;
  #latest: ReconnectRequest | undefined;

  constructor(redact: Redact) {
    super();
    this.#redact = redact;
  }

  /** The latest request. */
  get latest(): ReconnectRequest | undefined {
    return this.#latest;
  }

  /** Of several connections the last one counts. */
  listen(connection: RtmpConnection): void {
    this.#latest = undefined;
    connection.on('command', ({ name, values, incomplete }) => {
      // Without its end it may lack the place to connect to.
      if (name !== 'onStatus' || incomplete) return;
      const { code, description } = statusOf(values);
      if (code !== RECONNECT_REQUEST) return;
      const tcUrl = tcUrlOf(values);
      this.#latest = { description: this.#redact(description), ...(tcUrl !== undefined && { tcUrl }) };
      this.emit('request', this.#latest);
    });
  }
}

/** An empty one counts as none. */
function tcUrlOf(values: readonly Amf0Value[]): string | undefined {
  for (const value of values) {
    const fields = value instanceof EcmaArray ? value.entries : value;
    if (typeof fields !== 'object' || fields === null || !('tcUrl' in fields)) continue;
    if (typeof fields.tcUrl === 'string' && fields.tcUrl !== '') return fields.tcUrl;
  }
  return undefined;
}
