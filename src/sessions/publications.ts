import type { Logger } from '../observe/logger.ts';
import { GatewayError } from '../errors.ts';
import { PublishSession, type PublishSessionOptions } from '../webrtc/publish-session.ts';
import type { WorkerPool } from '../webrtc/worker-pool.ts';
import { Publication, type PublicationContext, type PublicationRequest } from './publication.ts';

export interface PublicationsOptions extends PublicationContext {
  readonly pool: WorkerPool;
  readonly audioPacketMs?: PublishSessionOptions['audioPacketMs'];
  readonly logger: Logger;
}

/** A publication whose source is a WebRTC client. */
export type WebRtcPublication = Publication<PublishSession>;

type NegotiationOptions = Omit<PublishSessionOptions, 'pool' | 'audioPacketMs' | 'logger'>;

export interface WebRtcPublicationRequest
  extends Omit<PublicationRequest<PublishSession>, 'openSession'>, NegotiationOptions {}

/** Starts publications from WebRTC clients, and logs the end of every stream. */
export class Publications {
  readonly #options: PublicationsOptions;

  constructor(options: PublicationsOptions) {
    this.#options = options;
    const { registry, logger } = options;
    registry.on('ended', (stream, { code, message: reason }) => {
      const seconds = Math.round(stream.ageMs / 1000);
      logger.info({ streamName: stream.name, code, reason, seconds }, 'stream ended');
    });
  }

  publish(request: WebRtcPublicationRequest): WebRtcPublication {
    const { pool, audioPacketMs } = this.#options;
    return Publication.start(this.#options, {
      ...request,
      openSession: () => PublishSession.create({ ...request, pool, audioPacketMs }),
    });
  }

  /**
   * Ends a stream that is held for the publisher with this key, who stops it over a new connection. Streams without a
   * key are left alone: it is unknown who published them.
   */
  stopHeld(streamName: string, resumeKey: string | undefined, message: string): void {
    const { registry } = this.#options;
    const stream = registry.find(streamName);
    if (stream && resumeKey !== undefined && registry.resumable(streamName, resumeKey))
      registry.end(stream, new GatewayError('STREAM_STOPPED', message));
  }
}
