import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';

/**
 * The AAC of every rendition: all RTMP servers accept these parameters, and frames of different origins can follow each
 * other.
 */
export const AAC_SAMPLE_RATE = 48_000;
export const AAC_CHANNELS = 2;

export interface AacCoderEvents {
  /**
   * One raw AAC frame of two channels, both alike if one went in. The first one after a start is the silence that AAC
   * begins with.
   */
  frame: [raw: Buffer];
  /** It has restarted: no more output follows for earlier input. */
  started: [];
  /**
   * It is gone; nothing follows. Another one can take its place.
   *
   * @param isCause whether it died while it worked on this stream's packets
   */
  lost: [isCause: boolean];
  /** It failed too often; nothing follows. */
  failed: [error: GatewayError];
}

export interface AacCoderOptions {
  /** Number of input channels. */
  readonly channels: 1 | 2;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/**
 * Encodes packets of one stream to AAC frames, in order. Knows nothing of timestamps. Replaces or ends itself when it
 * hangs.
 */
export interface AacCoder extends EventEmitter<AacCoderEvents> {
  /** Whether a packet given now will be encoded. */
  readonly running: boolean;
  /** @param samples that the packet holds of each channel, at the AAC's rate */
  encode(packet: Buffer, samples: number): void;
  close(): Promise<void>;
}
