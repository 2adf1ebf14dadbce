import type { types } from 'mediasoup';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import { Ticker } from '../runtime/ticker.ts';
import { isFlowing, LostSource, SOURCE_POLL_MS } from './lost-source.ts';
import type { ProducerForm } from './producer-track.ts';
import type { UnknownPacket } from './unknown-packets.ts';

const MID_EXTENSION = 'urn:ietf:params:rtp-hdrext:sdes:mid';
/** SSRCs that are tried for a track: most of them are packets of other sessions. */
const MAX_TRIES = 8;
/** Milliseconds until it is looked again for packets that belong to no track, once they were reported. */
const REST_MS = 10_000;
/** Milliseconds between two surveys for a session with data channels, while they find nothing. */
const SURVEY_REST_MS = 2000;

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
  /** Packets of all sessions of the worker that belong to no track. */
  readonly survey: () => Promise<readonly UnknownPacket[]>;
  /** Packets arrive that belong to no track, so that this one has none; `undefined`: it has some again. */
  readonly onUnmatched: (kind: types.MediaKind, problem: GatewayError | undefined) => void;
  /** The session cannot go on: packets of a track cannot be told from others. */
  readonly onLost: (reason: GatewayError) => void;
  /**
   * Bytes of data channels arrive too, which cannot be told from packets of no track. The worker must know such packets, and
   * the session never ends: they may be those of another session.
   */
  readonly hasData: boolean;
  readonly logger: Logger;
  readonly now?: () => number;
}

/**
 * Watches the tracks for publishers whose packets have an SSRC that the offer does not name: from the beginning, or after a
 * change. With MID in the packets the track goes on. Without it the payload type tells the track if no other one has it (RFC
 * 8843, 9.2). Otherwise a session whose track has changed ends, so that the publisher connects again.
 *
 * @returns stops it
 */
export function watchSources(options: SourceWatchOptions): () => void {
  const watches = options.tracks
    // Layers have SSRCs that the offer does not name.
    .filter(({ producer }) => producer.type === 'simple')
    .map((track) => new SourceWatch(track, options));
  return Ticker.every(SOURCE_POLL_MS).listen(() => {
    for (const watch of watches) watch.poll();
  });
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
  readonly #beganMs: number;
  /** SSRCs that the track was opened with. */
  readonly #tried = new Set<number>();
  #reportedMs: number | undefined;
  /** When a survey for a session with data channels found nothing. */
  #foundNothingMs = -Infinity;

  constructor(track: SourceTrack, options: SourceWatchOptions) {
    this.#track = track;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#beganMs = this.#now();
  }

  poll(): void {
    if (this.#asking) return;
    const nowMs = this.#now();
    // A track that is not read is only watched for its beginning.
    const silentMs = this.#track.silentMs(nowMs) ?? (this.#hasSent ? undefined : nowMs - this.#beganMs);
    if (!this.#source.isSuspect(silentMs)) return this.#clearReport(silentMs);
    if (this.#reportedMs !== undefined && nowMs - this.#reportedMs < REST_MS) return;
    if (nowMs - this.#foundNothingMs < SURVEY_REST_MS) return;
    this.#asking = true;
    this.#ask()
      .catch(() => undefined) // The session was closed meanwhile.
      .finally(() => (this.#asking = false));
  }

  async #ask(): Promise<void> {
    if (!this.#hasSent) this.#hasSent = (await this.#track.packetCount()) > 0;
    if (this.#hasSent && this.#track.silentMs(this.#now()) === undefined) return;
    const [stats] = await this.#options.transport.getStats();
    if (!stats) return;
    const { bytesReceived: received, rtpBytesReceived, rtxBytesReceived } = stats;
    if (!this.#source.poll({ received, matched: rtpBytesReceived + rtxBytesReceived })) return;
    this.#source.reset();
    const { hasData, survey } = this.#options;
    const known = hasData ? await survey() : undefined;
    if (known?.length === 0) {
      this.#foundNothingMs = this.#now();
      return;
    }
    const flows = (await this.#track.packetCount()) > 0;
    if (flows) this.#tried.clear();
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
    const unknown = known ?? (await survey());
    const source = this.#findSource(unknown);
    if (source) {
      this.#tried.add(source.ssrc);
      this.#options.logger.info({ kind, ...source }, 'packets are taken for the track by their payload type');
      return this.#track.reopen({ anySsrc: false, ssrc: source.ssrc });
    }
    // Behind data channels the source of a track that has begun may only have paused: it keeps its SSRC.
    const mayHavePaused = hasData && this.#hasSent;
    if (!hasMid && !this.#isReopened && !mayHavePaused) {
      // A packet of the offered SSRC and another payload type is not among them until no producer has this SSRC.
      this.#isReopened = true;
      return this.#track.reopen({ anySsrc: true });
    }
    this.#report(unknown);
    // A track that has never sent anything may be one that the publisher will never send.
    if (!this.#hasSent || hasData) return;
    this.#options.onLost(
      new GatewayError(
        'PUBLISHER_LOST',
        `The ${kind} packets have an SSRC now that the offer does not name, and no MID header extension, or ` +
          'another payload type: publish again.',
      ),
    );
  }

  #findSource(unknown: readonly UnknownPacket[]): UnknownPacket | undefined {
    const ownType = payloadTypeOf(this.#track);
    const isUnique = this.#options.tracks.every((track) => track === this.#track || payloadTypeOf(track) !== ownType);
    if (!isUnique || this.#tried.size >= MAX_TRIES) return undefined;
    return unknown.find(({ ssrc, payloadType }) => payloadType === ownType && !this.#tried.has(ssrc));
  }

  #report(unknown: readonly UnknownPacket[]): void {
    const { kind } = this.#track;
    const offered = this.#options.tracks.map((track) => `${track.kind} ${payloadTypeOf(track)}`).join(', ');
    const seen = [...new Set(unknown.map(({ payloadType }) => payloadType))].sort((one, other) => one - other);
    const problem = new GatewayError(
      'VIDEO_UNUSABLE',
      `No ${kind} arrives, but packets that belong to no track: their payload types are ` +
        `${seen.join(', ') || 'unknown'}, agreed were ${offered}.`,
    );
    if (this.#reportedMs === undefined) {
      this.#options.logger.warn({ kind, payloadTypes: seen }, problem.message);
      this.#options.onUnmatched(kind, problem);
    }
    this.#reportedMs = this.#now();
  }

  #clearReport(silentMs: number | undefined): void {
    if (this.#reportedMs === undefined || silentMs === undefined || !isFlowing(silentMs)) return;
    this.#reportedMs = undefined;
    this.#options.onUnmatched(this.#track.kind, undefined);
  }
}

const payloadTypeOf = ({ producer }: SourceTrack): number | undefined => producer.rtpParameters.codecs[0]?.payloadType;
