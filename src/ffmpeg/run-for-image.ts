import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { FfmpegCommandLine } from './ffmpeg-args.ts';
import { FfmpegProcess } from './ffmpeg-process.ts';

export interface ImageRun {
  /** A short description for the log. */
  readonly purpose: string;
  /** Ends ffmpeg. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/**
 * Runs an ffmpeg that makes one image.
 *
 * @param input written to its standard input
 * @throws {GatewayError} ENCODER_FAILED
 */
export async function runForImage(
  line: FfmpegCommandLine,
  input: readonly Buffer[],
  { purpose, signal, logger }: ImageRun,
): Promise<Buffer> {
  const process = await FfmpegProcess.start(line, purpose, logger);
  const chunks: Buffer[] = [];
  process.on('output', (chunk) => chunks.push(chunk));
  process.write(...input);
  try {
    await process.finish(signal);
  } catch (error) {
    throw toGatewayError(error, 'ENCODER_FAILED');
  }
  if (chunks.length === 0) throw new GatewayError('ENCODER_FAILED', 'ffmpeg decoded no frame.');
  return Buffer.concat(chunks);
}
