import { GatewayError } from '../errors.ts';
import type { LiveStream, Publisher } from '../streams/live-stream.ts';

/**
 * The publisher of a stream whose place a client with the same key may take, because nothing arrives from it.
 *
 * @throws {GatewayError} STREAM_NAME_IN_USE if it has the same key, and its media arrives
 */
export async function findSilent(
  stream: LiveStream | undefined,
  resumeKey: string | undefined,
): Promise<Publisher | undefined> {
  const publisher = stream?.publisher;
  if (!publisher || resumeKey === undefined || stream.resumeKey !== resumeKey) return undefined;
  if (await publisher.isSilent?.()) return publisher;
  if (stream.publisher !== publisher) return undefined;
  throw new GatewayError(
    'STREAM_NAME_IN_USE',
    `Stream name is already in use: ${stream.name}. A publisher with the same credentials is sending media. ` +
      'Stop it first, or publish under another name.',
  );
}
