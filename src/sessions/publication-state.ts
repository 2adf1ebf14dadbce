import type { GatewayError } from '../errors.ts';

/**
 * The life of a publication as a pure state machine: reserving → negotiating → connecting → attaching → live → lost →
 * ended. A publisher that returns is a new publication that attaches to the stream held for it, or takes the stream of a
 * publication from which nothing arrives any more; the earlier one is then `takenOver`.
 */
export type PublicationState =
  /** The client's rights are checked and the name is claimed. */
  | 'reserving'
  /** The source's session is being created. */
  | 'negotiating'
  /** The offer has been answered; no media can flow yet. */
  | 'connecting'
  /** The media is connected and becomes the stream's publisher. */
  | 'attaching'
  | 'live'
  /** The publisher was lost; its stream is held. */
  | 'lost'
  | 'ended';

export type PublicationEvent =
  | { readonly type: 'reserved' | 'negotiated' | 'connected' | 'attached' }
  /** Something that the publication depends on was refused or lost: rights, name, negotiation, lease. */
  | { readonly type: 'failed'; readonly reason: GatewayError }
  /** The source's session has ended by itself. */
  | { readonly type: 'mediaLost'; readonly reason: GatewayError }
  /** The client stops publishing. */
  | { readonly type: 'stopped'; readonly reason: GatewayError }
  /** The client's signalling connection has closed without a stop. */
  | { readonly type: 'disconnected'; readonly reason: GatewayError }
  /** No stop has followed the loss of the media in time. */
  | { readonly type: 'graceExpired'; readonly reason: GatewayError }
  /** The stream has ended for another reason than this publication. */
  | { readonly type: 'streamEnded'; readonly reason: GatewayError }
  /** Another publication continues the stream. */
  | { readonly type: 'takenOver'; readonly reason: GatewayError };

/** Why a publication has ended: the event that ended it. */
export type EndCause = Exclude<PublicationEvent['type'], 'reserved' | 'negotiated' | 'connected' | 'attached'>;

export type PublicationEffect =
  | { readonly type: 'openSession' | 'answer' | 'attach' | 'startPushes' }
  /** Holds the stream for the publisher's return. */
  | { readonly type: 'holdStream'; readonly reason: GatewayError }
  /** Waits for a stop that explains the loss of the media. */
  | { readonly type: 'awaitStop'; readonly reason: GatewayError }
  | { readonly type: 'endStream'; readonly reason: GatewayError }
  /** Closes the session and gives the name back, as far as they exist. */
  | { readonly type: 'cleanUp' }
  | { readonly type: 'finish'; readonly cause: EndCause; readonly reason: GatewayError };

export interface PublicationStep {
  readonly state: PublicationState;
  readonly effects: readonly PublicationEffect[];
}

/** Events that mean nothing in a state change nothing. */
export function stepPublication(state: PublicationState, event: PublicationEvent): PublicationStep {
  switch (state) {
    case 'reserving':
      return event.type === 'reserved' ? to('negotiating', 'openSession') : beforeMedia(state, event);
    case 'negotiating':
      return event.type === 'negotiated' ? to('connecting', 'answer') : beforeMedia(state, event);
    case 'connecting':
      if (event.type === 'connected') return to('attaching', 'attach');
      return event.type === 'mediaLost' ? end(event) : beforeMedia(state, event);
    case 'attaching':
      return event.type === 'attached' ? to('live', 'startPushes') : withStream(state, event);
    case 'live':
      return withStream(state, event);
    case 'lost':
      return whileLost(event);
    case 'ended':
      // Its creation had started before the publication ended.
      return event.type === 'reserved' || event.type === 'negotiated' ? to('ended', 'cleanUp') : ignored(state);
  }
}

function beforeMedia(state: PublicationState, event: PublicationEvent): PublicationStep {
  switch (event.type) {
    case 'failed':
    case 'stopped':
    case 'disconnected':
      return end(event);
    default:
      return ignored(state);
  }
}

function withStream(state: PublicationState, event: PublicationEvent): PublicationStep {
  switch (event.type) {
    case 'mediaLost':
      // Only a publisher can return: the stream of a worker that died ends.
      if (event.reason.code !== 'PUBLISHER_LOST') return end(event, 'endStream');
      return {
        state: 'lost',
        effects: [
          { type: 'holdStream', reason: event.reason },
          { type: 'awaitStop', reason: event.reason },
        ],
      };
    case 'stopped':
    case 'failed':
      return end(event, 'endStream');
    case 'disconnected':
      return end(event, 'holdStream');
    case 'streamEnded':
    case 'takenOver':
      return end(event);
    default:
      return ignored(state);
  }
}

function whileLost(event: PublicationEvent): PublicationStep {
  switch (event.type) {
    case 'stopped':
    case 'failed':
      return end(event, 'endStream');
    case 'disconnected':
    case 'graceExpired':
    case 'streamEnded':
    case 'takenOver':
      return end(event);
    default:
      return ignored('lost');
  }
}

const to = (
  state: PublicationState,
  type: 'openSession' | 'answer' | 'attach' | 'startPushes' | 'cleanUp',
): PublicationStep => ({ state, effects: [{ type }] });

function end(
  { type: cause, reason }: Extract<PublicationEvent, { readonly type: EndCause }>,
  ofStream?: 'endStream' | 'holdStream',
): PublicationStep {
  return {
    state: 'ended',
    effects: [
      ...(ofStream ? [{ type: ofStream, reason }] : []),
      { type: 'cleanUp' },
      { type: 'finish', cause, reason },
    ],
  };
}

const ignored = (state: PublicationState): PublicationStep => ({ state, effects: [] });
