import type { GatewayError } from '../../errors.ts';

/** The states of a recorder: `waiting ⇄ recording → ended`. */
export type RecorderState =
  /** For a key frame with which the next file begins. */
  | { readonly status: 'waiting' }
  | { readonly status: 'recording' }
  /** `failed`: it ended because of an error, and not with its stream or by a request. */
  | { readonly status: 'ended'; readonly reason: GatewayError; readonly failed: boolean };

export type RecorderEvent =
  /** A frame with which a file can begin, or media for the file. */
  | { readonly type: 'media' }
  /** What follows belongs in another file: the format has changed, or the file is large enough. */
  | { readonly type: 'split' }
  /** The disk or the rendition has failed. */
  | { readonly type: 'failed'; readonly error: GatewayError }
  /** A client ended the recording, or the stream has ended. */
  | { readonly type: 'stop'; readonly reason: GatewayError };

export type RecorderEffect =
  | 'open'
  | 'close'
  /** Nothing is recorded any more: releases everything. */
  | 'finish';

export interface RecorderTransition {
  readonly state: RecorderState;
  readonly effects: readonly RecorderEffect[];
}

/** The next state and its effects. Nothing happens to a recorder that has ended. */
export function nextRecorderState(state: RecorderState, event: RecorderEvent): RecorderTransition {
  switch (state.status) {
    case 'waiting':
      switch (event.type) {
        case 'media':
          return { state: { status: 'recording' }, effects: ['open'] };
        case 'split':
          return stay(state);
        case 'failed':
          return end(event.error, true, ['finish']);
        case 'stop':
          return end(event.reason, false, ['finish']);
      }
      break;
    case 'recording':
      switch (event.type) {
        case 'media':
          return stay(state);
        case 'split':
          return { state: { status: 'waiting' }, effects: ['close'] };
        case 'failed':
          return end(event.error, true, ['close', 'finish']);
        case 'stop':
          return end(event.reason, false, ['close', 'finish']);
      }
      break;
    case 'ended':
      return stay(state);
  }
}

const stay = (state: RecorderState): RecorderTransition => ({ state, effects: [] });

const end = (reason: GatewayError, failed: boolean, effects: readonly RecorderEffect[]): RecorderTransition => ({
  state: { status: 'ended', reason, failed },
  effects,
});
