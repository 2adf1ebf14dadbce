import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';

/** What every rendition's AAC is: RTMP servers take it everywhere, and equal parameters let frames of any origin be joined. */
export const AAC_SAMPLE_RATE = 48_000;
export const AAC_CHANNELS = 2;

export interface AacCoderEvents {
  /** One raw AAC frame of two channels, both alike where one went in. The first one after a start is the silence that AAC begins with. */
  frame: [raw: Buffer];
  /** It begins anew: what went in before does not come out any more. */
  started: [];
  /** It is gone, for no fault of its stream that is known. Another one can take its place; nothing follows. */
  lost: [];
  /** It failed too often; nothing follows. */
  failed: [error: GatewayError];
}

export interface AacCoderOptions {
  /** Of what goes in. */
  readonly channels: 1 | 2;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/** Packets of one stream in, AAC frames out, in their order. What belongs to which time is not its business. */
export interface AacCoder extends EventEmitter<AacCoderEvents> {
  /** Whether a packet given now will be encoded. */
  readonly running: boolean;
  /** @param samples that the packet holds of each channel, at the AAC's rate */
  encode(packet: Buffer, samples: number): void;
  /** Nothing comes out any more: what encodes is put to an end, and `lost`, `started` or `failed` follows. */
  giveUp(): void;
  close(): Promise<void>;
}
