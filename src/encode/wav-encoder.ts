import { wavToAac, type AacSettings } from '../ffmpeg/ffmpeg-args.ts';
import { FfmpegProcess } from '../ffmpeg/ffmpeg-process.ts';
import { aacFrame, AdtsReader } from '../flv/aac.ts';
import type { Logger } from '../logger.ts';

/**
 * A WAV file as the bodies of FLV audio tags. The frame of silence that ffmpeg's encoder puts first is left out, so that a loop has no gap.
 *
 * @throws {GatewayError} ENCODER_FAILED with what ffmpeg says of the file
 */
export async function encodeWav(path: string, aac: AacSettings, logger: Logger): Promise<Buffer[]> {
  const process = await FfmpegProcess.start(wavToAac(path, aac), 'sound encoder', logger);
  const reader = new AdtsReader();
  const frames: Buffer[] = [];
  process.on('output', (chunk) => {
    for (const raw of reader.push(chunk)) frames.push(aacFrame(raw));
  });
  await process.finish();
  return frames.slice(1);
}
