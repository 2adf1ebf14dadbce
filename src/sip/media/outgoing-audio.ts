import { randomInt } from 'node:crypto';
import type { AudioCodec } from '../../streams/live-stream.ts';
import type { CodecFormat } from './codecs.ts';
import type { LiveFrames } from './live-frames.ts';
import { dtmfPacket, DTMF_STEP_MS, DTMF_STEPS, type DtmfDigit } from './dtmf.ts';

export const FRAME_MS = 20;
/** Frames that are sent at once after the event loop was late; more are left out. */
const MAX_CATCH_UP = 5;
/** Frames of silence after a digit. */
const GAP_FRAMES = 3;
const PAUSE_FRAMES = 1000 / FRAME_MS;

/** One frame of silence: peers take anything else for a broken stream. */
const SILENCE: Readonly<Record<AudioCodec, Buffer>> = {
  pcmu: Buffer.alloc(160, 0xff),
  pcma: Buffer.alloc(160, 0xd5),
  opus: Buffer.from('f8fffe', 'hex'),
};

/**
 * The audio that a peer gets: silence, a stream, a sound file, or digits. Makes one packet for each 20 ms, or fewer where
 * those of a stream are longer. Pure, with the time given.
 */
export class OutgoingAudio {
  readonly #codec: CodecFormat<AudioCodec>;
  readonly #ssrc = randomInt(1, 2 ** 32 - 1);
  #sequence = randomInt(0, 0x10000);
  #timestamp = randomInt(0, 2 ** 32 - 1);
  #nextMs: number | undefined;
  #sound: readonly Buffer[] = [];
  #position = 0;
  #live: LiveFrames | undefined;
  /** Milliseconds that the last packet lasts beyond its step. */
  #coveredMs = 0;
  readonly #digits: (DtmfDigit | ',')[] = [];
  readonly #telephoneEvent: number | undefined;
  #event: { readonly digit: DtmfDigit; readonly timestamp: number; step: number } | undefined;
  #wait = 0;

  constructor(codec: CodecFormat<AudioCodec>, telephoneEvent: number | undefined) {
    this.#codec = codec;
    this.#telephoneEvent = telephoneEvent;
  }

  get ssrc(): number {
    return this.#ssrc;
  }

  get takesDigits(): boolean {
    return this.#telephoneEvent !== undefined;
  }

  get queuedDigits(): number {
    return this.#digits.length;
  }

  /** Replaces the sound that plays. @param frames of 20 ms */
  play(frames: readonly Buffer[]): void {
    this.#sound = frames;
    this.#position = 0;
  }

  /** Sends live audio wherever no sound plays; `undefined`: silence again. */
  inject(live: LiveFrames | undefined): void {
    this.#live = live;
  }

  dial(digits: readonly (DtmfDigit | ',')[]): void {
    this.#digits.push(...digits);
  }

  /** The packets that are due. */
  due(nowMs: number): Buffer[] {
    this.#nextMs ??= nowMs;
    const frames = Math.floor((nowMs - this.#nextMs) / FRAME_MS) + 1;
    if (frames <= 0) return [];
    const skipped = Math.max(0, frames - MAX_CATCH_UP);
    this.#timestamp = (this.#timestamp + skipped * this.#ticks) >>> 0;
    this.#nextMs += frames * FRAME_MS;
    return Array.from({ length: frames - skipped }, () => this.#next()).flat();
  }

  get #ticks(): number {
    return (this.#codec.clockRate * FRAME_MS) / 1000;
  }

  #next(): Buffer[] {
    const packets = this.#nextEvent() ?? this.#nextFrame();
    this.#timestamp = (this.#timestamp + this.#ticks) >>> 0;
    return packets;
  }

  #nextFrame(): Buffer[] {
    if (this.#coveredMs >= FRAME_MS) {
      this.#coveredMs -= FRAME_MS;
      return [];
    }
    return [this.#packet(this.#codec.payloadType, this.#timestamp, this.#frame())];
  }

  #frame(): Buffer {
    const sound = this.#sound[this.#position++];
    if (sound) return sound;
    const live = this.#live?.take();
    if (!live) return SILENCE[this.#codec.name];
    this.#coveredMs = live.ms - FRAME_MS;
    return live.payload;
  }

  /** The last packet of a digit is sent three times (RFC 4733, 2.5.1.4). */
  #nextEvent(): Buffer[] | undefined {
    if (this.#wait > 0) {
      this.#wait--;
      return undefined;
    }
    if (!this.#event) {
      const digit = this.#telephoneEvent === undefined ? undefined : this.#digits.shift();
      if (digit === undefined) return undefined;
      if (digit === ',') {
        this.#wait = PAUSE_FRAMES;
        return undefined;
      }
      this.#event = { digit, timestamp: this.#timestamp, step: 0 };
    }
    const event = this.#event;
    event.step++;
    const isLast = event.step >= DTMF_STEPS;
    const duration = (event.step * DTMF_STEP_MS * this.#codec.clockRate) / 1000;
    const payload = dtmfPacket(event.digit, duration, isLast);
    const packet = (): Buffer => this.#packet(this.#telephoneEvent!, event.timestamp, payload, event.step === 1);
    if (!isLast) return [packet()];
    this.#event = undefined;
    this.#wait = GAP_FRAMES;
    return [packet(), packet(), packet()];
  }

  #packet(type: number, timestamp: number, payload: Buffer, marker = false): Buffer {
    const packet = Buffer.alloc(12 + payload.length);
    packet[0] = 0x80;
    packet[1] = type | (marker ? 0x80 : 0);
    packet.writeUInt16BE(this.#sequence, 2);
    packet.writeUInt32BE(timestamp, 4);
    packet.writeUInt32BE(this.#ssrc, 8);
    payload.copy(packet, 12);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return packet;
  }
}
