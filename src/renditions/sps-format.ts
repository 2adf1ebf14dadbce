import { reorderDepthOf } from '../media/codecs/avc-parameter-sets.ts';
import { parseSps, parseSpsSyntax } from '../media/codecs/avc.ts';
import type { FrameSize } from '../streams/live-stream.ts';

/** What a sequence parameter set says. */
export interface SpsFormat {
  readonly sps: Buffer;
  readonly shown: FrameSize;
  readonly coded: FrameSize;
  /** See {@link reorderDepthOf}. */
  readonly reorderDepth: number | undefined;
  readonly maxRefFrames: number;
  /** Milliseconds between two frames. */
  readonly frameMs: number | undefined;
}

/** `undefined`: the parameter set is not valid. */
export function formatOf(sps: Buffer): SpsFormat | undefined {
  const info = parseSps(sps);
  return (
    info && {
      sps,
      shown: { width: info.width, height: info.height },
      coded: { width: info.codedWidth, height: info.codedHeight },
      reorderDepth: reorderDepthOf(sps),
      maxRefFrames: parseSpsSyntax(sps)!.maxRefFrames,
      frameMs: info.frameRate && 1000 / info.frameRate,
    }
  );
}
