import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { Logger } from '../observe/logger.ts';
import type {
  AudioCodec,
  AudioTrack,
  SenderReport,
  TrackMetrics,
  TrackSubscription,
  TrackSubscriptionEvents,
  VideoCodec,
  VideoTrack,
} from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { MissedFrames } from './missed-frames.ts';
import type { GatedTrack } from './video-gate.ts';
import type { IngestWorker } from './worker-pool.ts';

/**
 * Milliseconds between two reads of a subscribed track's round-trip time, which only bounds the wait for a
 * retransmission.
 */
const ROUND_TRIP_POLL_MS = 5000;
/**
 * Milliseconds between two comparisons of the layers of simulcast: destinations should not begin with a small frame for
 * long.
 */
const LAYER_POLL_MS = 500;
/** A layer replaces the present one when its bitrate is this many times higher: each change costs a key frame. */
const LAYER_MARGIN = 1.5;
/** RFC 3550, 5.1: the length of the fixed header, and where the timestamp is in it. */
const RTP_HEADER_BYTES = 12;
const RTP_TIMESTAMP = 4;

/** A track of a publish session: a mediasoup producer, which is consumed while there is a subscription. */
export class ProducerTrack<Kind extends 'audio' | 'video', Codec> {
  readonly kind: Kind;
  readonly codec: Codec;
  readonly clockRate: number;
  readonly producer: types.Producer;
  readonly #worker: IngestWorker;
  readonly #logger: Logger;
  readonly #subscriptions = new Set<ConsumerSubscription>();
  #roundTripMs = 0;
  #poll: NodeJS.Timeout | undefined;
  /** Simulcast: the index of the layer that is consumed, once it is known. */
  #bestLayer: number | undefined;

  constructor(
    kind: Kind,
    codec: Codec,
    clockRate: number,
    producer: types.Producer,
    worker: IngestWorker,
    logger: Logger,
  ) {
    this.kind = kind;
    this.codec = codec;
    this.clockRate = clockRate;
    this.producer = producer;
    this.#worker = worker;
    this.#logger = logger;
    producer.on('trace', (trace) => this.#onTrace(trace));
    // Also when its transport, its router or its worker closes.
    producer.observer.once('close', () => {
      for (const subscription of [...this.#subscriptions]) subscription.end();
    });
  }

  /** Milliseconds; 0 until the publisher has answered the first receiver reference report. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  async metrics(): Promise<TrackMetrics> {
    const layers = await this.producer.getStats();
    const sum = (count: (layer: types.ProducerStat) => number): number =>
      layers.reduce((total, layer) => total + count(layer), 0);
    return {
      payloadType: this.producer.rtpParameters.codecs[0]!.payloadType,
      bitrate: sum(({ bitrate }) => bitrate),
      bytes: sum(({ byteCount }) => byteCount),
      packetsLost: sum(({ packetsLost }) => packetsLost),
      nackCount: sum(({ nackCount }) => nackCount),
      pliCount: sum(({ pliCount }) => pliCount),
    };
  }

  async subscribe(): Promise<TrackSubscription> {
    const consumer = await this.#worker.directTransport.consume({
      producerId: this.producer.id,
      rtpCapabilities: plainCapabilities(this.#worker.router.rtpCapabilities),
      paused: true,
    });
    const deliver = (packet: Buffer): void => this.#deliver(subscription, packet);
    const unlisten = this.#worker.channel?.listen(consumer.id, deliver);
    const { gate } = this.#worker.probe;
    const subscription = new ConsumerSubscription(consumer, this, deliver, () => {
      unlisten?.();
      leaveGate?.();
      this.#remove(subscription);
    });
    const leaveGate = this.kind === 'video' ? gate.add(subscription) : undefined;
    if (this.#bestLayer !== undefined) subscription.preferLayer(this.#bestLayer);
    // No packet arrives before the caller has added its listeners: resuming takes a round trip to the worker.
    this.#subscriptions.add(subscription);
    if (this.#subscriptions.size === 1) this.#startPolling();
    try {
      await Promise.all([this.producer.enableTraceEvent(['sr']), consumer.resume()]);
    } catch (error) {
      subscription.close();
      throw error;
    }
    return subscription;
  }

  /** A packet that cannot be processed must not stop those of other streams that were read with it. */
  #deliver(subscription: ConsumerSubscription, packet: Buffer): void {
    if (this.kind === 'video') {
      const { probe } = this.#worker;
      const missed = subscription.framesMissedBefore(packet);
      if (missed > 0) probe.gate.countMissed(missed);
      if (probe.drops(tickMs())) return;
    }
    try {
      subscription.emit('rtp', packet);
    } catch (error) {
      this.#logger.error({ err: error, kind: this.kind }, 'a packet could not be processed');
    }
  }

  #remove(subscription: ConsumerSubscription): void {
    this.#subscriptions.delete(subscription);
    if (this.#subscriptions.size > 0) return;
    this.#stopPolling();
    if (!this.producer.closed)
      this.producer
        .enableTraceEvent([])
        .catch((error: unknown) => this.#logger.debug({ err: error }, 'sender reports could not be switched off'));
  }

  #onTrace(trace: types.ProducerTraceEventData): void {
    if (trace.type !== 'sr') return;
    const { ssrc, ntpSec, ntpFrac, rtpTs } = trace.info as {
      ssrc: number;
      ntpSec: number;
      ntpFrac: number;
      rtpTs: number;
    };
    const report: SenderReport = { ntpMs: ntpMilliseconds(ntpSec, ntpFrac), rtpTimestamp: rtpTs >>> 0 };
    for (const subscription of this.#subscriptions) {
      if (subscription.isClockedBy(ssrc)) subscription.emit('senderReport', report);
    }
  }

  /**
   * No offer says which layer is the best: some list the largest frame first, some last. The layer with the highest
   * bitrate is taken; until it is known, mediasoup takes the last one.
   */
  #chooseLayer(stats: readonly types.ProducerStat[]): void {
    const bitrate = (layer: number | undefined): number =>
      stats.find((stat) => stat.rid === this.producer.rtpParameters.encodings?.[layer ?? -1]?.rid)?.bitrate ?? 0;
    const layers = this.producer.rtpParameters.encodings?.map((_, layer) => layer) ?? [];
    const best = layers.reduce((most, layer) => (bitrate(layer) > bitrate(most) ? layer : most), 0);
    if (best === this.#bestLayer || bitrate(best) <= bitrate(this.#bestLayer) * LAYER_MARGIN) return;
    this.#bestLayer = best;
    for (const subscription of this.#subscriptions) subscription.preferLayer(best);
  }

  #startPolling(): void {
    this.#poll = setInterval(
      () => {
        this.producer.getStats().then(
          (stats) => {
            this.#roundTripMs = Math.max(0, ...stats.map((stat) => stat.roundTripTime ?? 0));
            if (this.producer.type === 'simulcast') this.#chooseLayer(stats);
          },
          () => undefined, // The producer was closed meanwhile.
        );
      },
      this.producer.type === 'simulcast' ? LAYER_POLL_MS : ROUND_TRIP_POLL_MS,
    );
    this.#poll.unref();
  }

  #stopPolling(): void {
    clearInterval(this.#poll);
  }
}

class ConsumerSubscription extends EventEmitter<TrackSubscriptionEvents> implements TrackSubscription, GatedTrack {
  readonly #consumer: types.Consumer;
  readonly #track: { readonly roundTripMs: number };
  readonly #removed: () => void;
  /** Simulcast: the layer whose timestamps the packets have. */
  #clockSsrc: number | undefined;
  readonly #missed = new MissedFrames();
  #paused = false;
  #closed = false;

  constructor(
    consumer: types.Consumer,
    track: { readonly roundTripMs: number; readonly producer: types.Producer },
    deliver: (packet: Buffer) => void,
    removed: () => void,
  ) {
    super();
    this.#consumer = consumer;
    this.#track = track;
    this.#removed = removed;
    // Only packets that the worker's channel does not take.
    consumer.on('rtp', deliver);
    consumer.on('layerschange', (layers) => {
      this.#clockSsrc ??=
        layers && track.producer.score.find(({ encodingIdx }) => encodingIdx === layers.spatialLayer)?.ssrc;
    });
  }

  get roundTripMs(): number {
    return this.#track.roundTripMs;
  }

  preferLayer(spatialLayer: number): void {
    if (this.#closed) return;
    this.#consumer.setPreferredLayers({ spatialLayer }).catch(() => undefined); // The consumer was closed meanwhile.
  }

  /**
   * Whether the sender reports of that SSRC apply to this subscription's packets. Each layer of simulcast has RTP
   * timestamps of its own; mediasoup shifts those of all layers to the timestamps of the first one that it forwarded.
   */
  isClockedBy(ssrc: number): boolean {
    return this.#consumer.type !== 'simulcast' || this.#clockSsrc === ssrc;
  }

  pause(): void {
    if (this.#closed) return;
    this.#paused = true;
    this.#consumer.pause().then(
      // The answer comes behind the packets that were written before the pause. mediasoup emits those in immediates.
      () => setImmediate(() => this.#interrupt()),
      () => undefined, // The consumer was closed meanwhile.
    );
  }

  /** mediasoup requests a key frame and sends nothing before it. */
  resume(): void {
    if (this.#closed) return;
    this.#paused = false;
    this.#consumer.resume().catch(() => undefined); // The consumer was closed meanwhile.
  }

  /** The number of frames that a pause took from the track before this packet. */
  framesMissedBefore(packet: Buffer): number {
    return packet.length < RTP_HEADER_BYTES ? 0 : this.#missed.packet(packet.readUInt32BE(RTP_TIMESTAMP));
  }

  requestKeyFrame(): void {
    if (this.#closed || this.#paused || this.#consumer.kind !== 'video') return;
    this.#consumer.requestKeyFrame().catch(() => undefined); // The consumer was closed meanwhile.
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#consumer.close();
    this.#removed();
  }

  #interrupt(): void {
    if (this.#closed) return;
    this.#missed.pause();
    this.emit('interrupted');
  }

  /** The producer is closed; mediasoup closes its consumers. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#removed();
    this.emit('ended');
  }
}

export type ProducerAudioTrack = ProducerTrack<'audio', AudioCodec> & AudioTrack;
export type ProducerVideoTrack = ProducerTrack<'video', VideoCodec> & VideoTrack;

/** Seconds since 1900 and their 32-bit fraction (RFC 3550, 4) as milliseconds. */
export function ntpMilliseconds(seconds: number, fraction: number): number {
  return (seconds >>> 0) * 1000 + ((fraction >>> 0) / 2 ** 32) * 1000;
}

/** A consumer inside this process needs no retransmissions and no header extensions. */
function plainCapabilities(capabilities: types.RtpCapabilities): types.RtpCapabilities {
  return {
    codecs: capabilities
      .codecs!.filter((codec) => !codec.mimeType.endsWith('/rtx'))
      .map((codec) => ({
        ...codec,
        rtcpFeedback: codec.rtcpFeedback?.filter((fb) => fb.type !== 'nack' || fb.parameter === 'pli'),
      })),
    headerExtensions: [],
  };
}
