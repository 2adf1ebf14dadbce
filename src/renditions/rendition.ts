import type { EventEmitter } from 'node:events';
import type { VideoOutput } from '../ffmpeg/ffmpeg-args.ts';
import type { GatewayError } from '../errors.ts';
import type { FlvTag, StreamMetadata } from '../media/containers/flv-tag.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';

/** A stream that announces video and sends none holds back the audio of its outputs for this time. Milliseconds. */
export const VIDEO_PATIENCE_MS = 3000;

export interface RenditionEvents {
  /** The next tags: media, and sequence headers that have changed, each before the first tag that it describes. */
  tags: [group: TagGroup];
  /**
   * The format has changed: the codec's parameters or the frame size (`videoHeader`, `metadata`), or whether there is
   * video (`hasVideo`). Also emitted when these become known. This is not the end of the rendition: timestamps go on.
   * If there is a new sequence header, the event precedes the `tags` event whose group contains that header, and tags
   * of that group before the header still have the old format.
   */
  format: [];
  /** The rendition cannot go on; nothing follows. */
  failed: [error: GatewayError];
}

/**
 * A stream as FLV tags in one encoding, shared by all outputs that need this encoding. It survives changes of its
 * source: the publisher's loss and return, another codec or frame size, video that is added or removed, and restarts of
 * its encoder. Only `failed` ends it.
 */
export interface Rendition extends EventEmitter<RenditionEvents> {
  /** As far as known. */
  readonly metadata: StreamMetadata;
  /**
   * The current sequence headers. Video: `undefined` until the first key frame, and without video. Audio: `undefined`
   * for codecs that have none. The audio header never changes.
   */
  readonly videoHeader: FlvTag | undefined;
  readonly audioHeader: FlvTag | undefined;
  /** Whether frames are to be expected. */
  readonly hasVideo: boolean;
  /** The settings of the video encoder that makes the frames; unset where they are passed through. */
  readonly encoderOutput?: VideoOutput | undefined;
  /** The tags since the last key frame, if that is recent enough for a new output to start with. */
  readonly recent: TagGroup | undefined;
  /** Requests a key frame with which a new output can start. */
  requestKeyFrame(): void;
}
