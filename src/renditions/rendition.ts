import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';

export interface RenditionEvents {
  /** What comes next: media, and sequence headers that have changed. */
  tags: [group: TagGroup];
  /** The rendition cannot go on; nothing follows. */
  failed: [error: GatewayError];
}

/** A stream as FLV tags in one encoding, the same for all destinations that share it. */
export interface Rendition extends EventEmitter<RenditionEvents> {
  /** As far as it is known by now. */
  readonly metadata: StreamMetadata;
  /** The present sequence headers; `undefined` until the first frame, or for ever in a stream without that track. */
  readonly videoHeader: FlvTag | undefined;
  readonly audioHeader: FlvTag | undefined;
  /** Whether frames are to be expected. */
  readonly hasVideo: boolean;
  /** What has gone out since the last key frame, when that is so recent that a new destination had better begin with it. */
  readonly recent: TagGroup | undefined;
  /** Asks for a frame from which a new destination can start. */
  requestKeyFrame(): void;
}
