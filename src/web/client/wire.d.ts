import type { PushOrder, SavedDestinationState, Transponder } from './schemas.js';

/** What the library makes of the types of `schemas.d.ts`. It imports nothing else: the package contains both. */

export type * from './schemas.js';

/** The state of a push as the page that publishes the stream is told it. */
export interface TransponderEvent
  extends
    Pick<Transponder, 'mediaSessionId' | 'status' | 'reason'>,
    Partial<Pick<Transponder, 'publisherAway' | 'warnings' | 'comply' | 'codecs'>> {
  /** Without secrets. */
  readonly rtmpUrl: string;
}

export interface PushRequest extends PushOrder {
  readonly streamName: string;
  /** A saved destination, in place of a URL. */
  readonly destinationId?: string;
}

/** Fields of a saved destination that may be saved and changed. `null` removes one. */
export type DestinationChange = { readonly [Field in keyof PushOrder]?: PushOrder[Field] | null } & {
  readonly name?: string;
  /** Streams whose own credentials, limited to certain streams, may use the destination: names, or patterns with `*`. */
  readonly allowStreams?: readonly string[] | null;
};

/** A saved destination. Its URLs and its key are not shown again. */
export interface SavedDestination
  extends SavedDestinationState, Omit<PushOrder, 'rtmpUrl' | 'platform' | 'streamKey' | 'backupUrl'> {}
