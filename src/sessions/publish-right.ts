import type { LiveStream } from '../streams/live-stream.ts';
import { Deadline } from './deadline.ts';
import type { OrderedPush } from './push-control.ts';

/** The conditions under which a client may publish. */
export interface PublishGrant {
  /** When the right ends, in milliseconds since 1970, if it does; the publication ends then. */
  readonly endsAt?: number | undefined;
  /** The stream to publish instead of the requested one. */
  readonly streamName?: string | undefined;
  /** Started with the stream. */
  readonly pushes?: readonly OrderedPush[] | undefined;
  /** Recorded with the stream. */
  readonly record?: boolean | undefined;
  /** Called once, when the stream has ended. */
  readonly release?: (() => void) | undefined;
}

/** What the client may do; each method throws FORBIDDEN or another {@link GatewayError} when it may not. */
export interface PublicationRights {
  publish(): Promise<PublishGrant>;
  /** @param streamName that is published */
  push(rtmpUrl: string, streamName: string): Promise<unknown>;
}

/** The right of a publication to its stream, from the grant until the stream ends. */
export class PublishRight {
  readonly #grant: PublishGrant;
  readonly #onExpired: () => void;
  #deadline: Deadline | undefined;

  constructor(grant: PublishGrant, onExpired: () => void) {
    this.#grant = grant;
    this.#onExpired = onExpired;
    this.renew(grant.endsAt);
  }

  get pushes(): readonly OrderedPush[] {
    return this.#grant.pushes ?? [];
  }

  get record(): boolean {
    return this.#grant.record ?? false;
  }

  /** Sets a new end of the right, in milliseconds since 1970; `undefined`: it does not end. */
  renew(endsAt: number | undefined): void {
    this.#deadline?.cancel();
    this.#deadline = endsAt === undefined ? undefined : new Deadline(endsAt, this.#onExpired);
  }

  /** There is no stream. To be called once, and not after {@link leave}. */
  giveUp(): void {
    this.#deadline?.cancel();
    this.#grant.release?.();
  }

  /**
   * The publication has ended. A stream that is held goes on until the deadline, unless another publication continues
   * it. To be called once.
   */
  leave(stream: LiveStream): void {
    const deadline = this.#deadline;
    const { release } = this.#grant;
    if (stream.endedBy) return this.giveUp();
    if (release) stream.once('ended', release);
    if (!deadline) return;
    if (stream.publisher !== undefined) return deadline.cancel();
    const cancel = (): void => {
      deadline.cancel();
      stream.off('ended', cancel);
      stream.off('published', cancel);
    };
    stream.on('ended', cancel);
    stream.on('published', cancel);
  }
}
