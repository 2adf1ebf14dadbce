import type { EventEmitter } from 'node:events';

export interface DataChannelEvents {
  /** The client can receive messages. */
  open: [];
  /** A text message of the client. */
  message: [text: string];
  /** The data channel has ended, with its session or because the client does not read. At most once; nothing follows. */
  closed: [];
}

/** Text messages between the gateway and a WebRTC client, beside its media. */
export interface DataChannel extends EventEmitter<DataChannelEvents> {
  /** Does nothing before `open` and after `closed`. A client that does not read loses its data channel. */
  send(text: string): void;
  /** Ends after what has been sent. The media is not affected. Idempotent; emits nothing. */
  close(): void;
}
