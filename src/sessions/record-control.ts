import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';

/** What publications need of the recorders. All methods throw {@link GatewayError}. */
export interface RecordControl {
  /** Checks whether recordings may be made now. */
  check(): Promise<void>;
  /** Records a live stream; one that is being recorded goes on. */
  ensure(streamName: string): Promise<RequestedRecording>;
}

/** A recording that was requested with a publication. */
export interface RequestedRecording {
  /** Its first file, as soon as there is one. */
  readonly firstFile: string | undefined;
}

/** @throws {GatewayError} RECORDING_DISABLED and others */
export async function checkRecording(recorders: RecordControl | undefined): Promise<void> {
  if (!recorders) throw new GatewayError('RECORDING_DISABLED', 'Streams of this kind cannot be recorded.');
  await recorders.check();
}

/** A recording that cannot be started does not end the publication. */
export async function tryToRecord(
  recorders: RecordControl | undefined,
  streamName: string,
  logger: Logger,
): Promise<RequestedRecording | undefined> {
  try {
    return await recorders?.ensure(streamName);
  } catch (error) {
    const { code, message: reason } = toGatewayError(error);
    logger.warn({ code, reason }, 'recording refused');
    return undefined;
  }
}
