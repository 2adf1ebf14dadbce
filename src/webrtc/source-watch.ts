import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { LostSource, SOURCE_POLL_MS } from './lost-source.ts';
import type { ProducerForm } from './producer-track.ts';

const MID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:mid';

export interface SourceTrack {
  readonly kind: types.MediaKind;
  readonly producer: Pick<types.Producer, 'type' | 'rtpParameters'>;
  silentMs(nowMs: number): number | undefined;
  packetCount(): Promise<number>;
  reopen(form: Partial<ProducerForm>): Promise<void>;
}

export interface SourceWatchOptions {
  readonly tracks: readonly SourceTrack[];
  readonly transport: {
    getStats(): Promise<
      readonly Pick<types.WebRtcTransportStat, 'bytesReceived' | 'rtpBytesReceived' | 'rtxBytesReceived'>[]
    >;
  };
  /** The session cannot go on: packets of a track cannot be told from others. */
  readonly onLost: (reason: GatewayError) => void;
  /** Bytes of data channels arrive too, which cannot be told from packets of no track: nothing is watched. */
  readonly hasData: boolean;
  readonly logger: Logger;
  readonly now?: () => number;
}

/**
 * Watches the tracks that are read for publishers that change the SSRC. With MID in the packets the track goes on; without
 * it the session ends, so that the publisher connects again.
 *
 * @returns stops it
 */
export function watchSources(options: SourceWatchOptions): () => void {
  if (options.hasData) return () => {};
  const watches = options.tracks
    // Layers have SSRCs that the offer does not name.
    .filter(({ producer }) => producer.type === 'simple')
    .map((track) => new SourceWatch(track, options));
  const timer = setInterval(() => {
    for (const watch of watches) watch.poll();
  }, SOURCE_POLL_MS).unref();
  return () => clearInterval(timer);
}

/** One track of {@link watchSources}. */
export class SourceWatch {
  readonly #track: SourceTrack;
  readonly #options: SourceWatchOptions;
  readonly #now: () => number;
  readonly #source = new LostSource();
  #asking = false;
  /** Opened again; packets have come since if the present producer has some. */
  #isReopened = false;
  /** Packets of the track have arrived at some time. */
  #hasSent = false;

  constructor(track: SourceTrack, options: SourceWatchOptions) {
    this.#track = track;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  poll(): void {
    if (this.#asking || !this.#source.isSuspect(this.#track.silentMs(this.#now()))) return;
    this.#asking = true;
    this.#ask()
      .catch(() => undefined) // The session was closed meanwhile.
      .finally(() => (this.#asking = false));
  }

  async #ask(): Promise<void> {
    const [stats] = await this.#options.transport.getStats();
    if (!stats) return;
    const { bytesReceived: received, rtpBytesReceived, rtxBytesReceived } = stats;
    if (!this.#source.poll({ received, matched: rtpBytesReceived + rtxBytesReceived })) return;
    this.#source.reset();
    const flows = (await this.#track.packetCount()) > 0;
    this.#hasSent ||= flows;
    const { kind, producer } = this.#track;
    const hasMid = producer.rtpParameters.headerExtensions?.some(({ uri }) => uri === MID_EXTENSION) ?? false;
    if (hasMid && (flows || !this.#isReopened)) {
      this.#isReopened = true;
      this.#options.logger.warn(
        { kind },
        'the track stopped and packets of an unknown SSRC arrive: it is opened again',
      );
      return this.#track.reopen({ anySsrc: true });
    }
    // A track that has never sent anything may be one that the publisher will never send.
    if (!this.#hasSent) return;
    this.#options.onLost(
      new GatewayError(
        'PUBLISHER_LOST',
        `The ${kind} packets have an SSRC now that the offer does not name, and no MID header extension: publish again.`,
      ),
    );
  }
}
