/** How a key frame is requested of the peer. */
export type KeyFrameRequest = 'pli' | 'fir' | 'info';

export interface Feedback {
  readonly pli: boolean;
  readonly fir: boolean;
}

/** Milliseconds without a key frame after a request, until the signalling is tried too; and between two of these. */
const PATIENCE_MS = 1000;

/**
 * Decides how the peer is asked for key frames: by RTCP as agreed, and by INFO (RFC 5168) where that does not help. Pure,
 * with the time given.
 */
export class KeyFrameRequester {
  readonly #feedback: Feedback | undefined;
  /** Since when a key frame is wanted. */
  #wantedMs: number | undefined;
  #infoMs = -Infinity;
  #takesInfo = true;

  /** @param feedback `undefined`: the peer has said nothing */
  constructor(feedback: Feedback | undefined) {
    this.#feedback = feedback;
  }

  /** A key frame is wanted now. */
  request(nowMs: number): KeyFrameRequest[] {
    this.#wantedMs ??= nowMs;
    const { pli = true, fir = false } = this.#feedback ?? {};
    return [...(pli ? (['pli'] as const) : fir ? (['fir'] as const) : []), ...this.poll(nowMs)];
  }

  /** To be called now and then. */
  poll(nowMs: number): KeyFrameRequest[] {
    const since = this.#wantedMs;
    if (since === undefined || !this.#takesInfo) return [];
    if (nowMs - since < PATIENCE_MS || nowMs - this.#infoMs < PATIENCE_MS) return [];
    this.#infoMs = nowMs;
    return ['info'];
  }

  arrived(): void {
    this.#wantedMs = undefined;
  }

  /** The peer does not know such requests. */
  refuseInfo(): void {
    this.#takesInfo = false;
  }
}

/** The body of a request by INFO. */
export const MEDIA_CONTROL =
  '<?xml version="1.0" encoding="utf-8"?>' +
  '<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>';
export const MEDIA_CONTROL_TYPE = 'application/media_control+xml';
