import { GatewayError, toGatewayError } from '../errors.ts';
import { toJpeg } from '../ffmpeg/ffmpeg-args.ts';
import { FfmpegProcess } from '../ffmpeg/ffmpeg-process.ts';
import { ivfFrameHeader, ivfHeader } from '../media/containers/ivf.ts';
import { TAG_VIDEO, type FlvTag } from '../media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../media/containers/flv-writer.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import type { Logger } from '../observe/logger.ts';
import type { LiveStream } from '../streams/live-stream.ts';
import type { EncoderPool } from './encoder-pool.ts';
import { FOURCC, type SourceFrame } from './source-rendition.ts';

/** A publisher that is there sends a key frame within a second or so of being asked. */
const TIMEOUT_MS = 5000;

/**
 * The stream's present frame as JPEG.
 *
 * @throws {GatewayError} ENCODER_FAILED when no frame comes
 */
export async function takeSnapshot(stream: LiveStream, encoders: EncoderPool, logger: Logger): Promise<Buffer> {
  const lease = await encoders.acquireSource(stream);
  try {
    const { rendition: source } = lease;
    if (!source.hasVideo) throw new GatewayError('ENCODER_FAILED', `Stream ${stream.name} has no frame.`);
    const container = await new Promise<Buffer[]>((resolve, reject) => {
      const onTags = ({ tags }: TagGroup): void => {
        const tag = tags.find(
          ({ type, keyFrame, sequenceHeader }) => type === TAG_VIDEO && keyFrame && !sequenceHeader,
        );
        if (!tag || !source.videoHeader) return;
        done();
        resolve([flvHeader({ audio: false, video: true }), ...flvBytes(source.videoHeader), ...flvBytes(tag)]);
      };
      const onFrame = ({ codec, data, timestamp, keyFrame }: SourceFrame): void => {
        if (!keyFrame) return;
        done();
        const { width = 0, height = 0 } = source.metadata;
        resolve([
          ivfHeader({ fourcc: FOURCC[codec], width, height, timebase: [1, 1000] }),
          ivfFrameHeader(data.length, timestamp),
          data,
        ]);
      };
      const timer = setTimeout(() => {
        done();
        reject(
          new GatewayError('ENCODER_FAILED', `Stream ${stream.name} has sent no frame for ${TIMEOUT_MS / 1000} s.`),
        );
      }, TIMEOUT_MS);
      const done = (): void => {
        clearTimeout(timer);
        source.off('tags', onTags);
        source.frames.off('frame', onFrame);
      };
      source.on('tags', onTags);
      source.frames.on('frame', onFrame);
      source.requestKeyFrame();
    });
    return await encodeJpeg(container, source.videoCodec === 'h264' ? 'flv' : 'ivf', logger);
  } finally {
    await lease.release();
  }
}

async function encodeJpeg(container: Buffer[], format: 'flv' | 'ivf', logger: Logger): Promise<Buffer> {
  const process = await FfmpegProcess.start(toJpeg(format), 'snapshot', logger);
  const chunks: Buffer[] = [];
  process.on('output', (chunk) => chunks.push(chunk));
  process.write(...container);
  try {
    await process.finish();
  } catch (error) {
    throw toGatewayError(error, 'ENCODER_FAILED');
  }
  if (chunks.length === 0) throw new GatewayError('ENCODER_FAILED', 'ffmpeg made no frame.');
  return Buffer.concat(chunks);
}

function flvBytes(tag: FlvTag): Buffer[] {
  const { head, tail } = flvTagParts(tag, 0);
  return [head, tag.data, tail];
}
