import { readSequenceHeader } from '../media/codecs/avc-nal.ts';
import { parseSps, type SampleAspect, type SpsInfo } from '../media/codecs/avc.ts';
import type { FlvTag } from '../media/containers/flv-tag.ts';
import type { FrameSize } from '../streams/live-stream.ts';
import { even } from './encode-profile.ts';
import type { MediaSource } from './media-source.ts';

/** The first sequence parameter set of a sequence header. */
export function spsOf({ data }: FlvTag): SpsInfo | undefined {
  const [sps] = readSequenceHeader(data).sps;
  return sps && parseSps(sps);
}

/** The size of a frame in square pixels, with an even width; its height stays. */
export function shownSize({ width, height }: FrameSize, sampleAspect?: SampleAspect): FrameSize {
  return sampleAspect ? { width: even((width * sampleAspect.width) / sampleAspect.height), height } : { width, height };
}

/** The size of a source in square pixels, once it is known. */
export function shownSizeOf({ metadata, videoHeader, videoCodec }: MediaSource): FrameSize | undefined {
  const { width, height } = metadata;
  if (!width || !height) return undefined;
  const sampleAspect = videoCodec === 'h264' && videoHeader ? spsOf(videoHeader)?.sampleAspect : undefined;
  return shownSize({ width, height }, sampleAspect);
}
