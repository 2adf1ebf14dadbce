import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { ParameterSetStore } from '../media/codecs/avc-parameter-sets.ts';
import type { Logger } from '../observe/logger.ts';
import type {
  AudioCodec,
  AudioTrack,
  SenderReport,
  TrackMetrics,
  TrackSubscription,
  VideoCodec,
  VideoTrack,
} from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { ConsumerSubscription } from './consumer-subscription.ts';
import type { WatchedProducer } from './stall-watch.ts';
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

export interface ProducerTrackOptions {
  /** H.264: what is known of the publisher's parameter sets. */
  readonly parameterSets?: ParameterSetStore;
  /** Opens a producer in place of the one before, which is closed: see {@link ProducerTrack.reopen}. */
  readonly reopen?: (as: ProducerForm) => Promise<types.Producer>;
}

/** How a producer takes the packets of a track. */
export interface ProducerForm {
  /**
   * mediasoup takes the packets for another codec, of which it knows no key frames. It forwards H.264 only from a packet
   * with a sequence parameter set on, which some publishers send once or never.
   */
  readonly isOpaque: boolean;
  /** Packets of any SSRC that name the track in a header extension (MID). Otherwise those of the SSRC in the offer. */
  readonly anySsrc: boolean;
  /** Packets of this SSRC instead of the one in the offer. */
  readonly ssrc?: number;
}

/** A track of a publish session: a mediasoup producer, which is consumed while there is a subscription. */
export class ProducerTrack<Kind extends 'audio' | 'video', Codec> {
  readonly kind: Kind;
  readonly codec: Codec;
  readonly clockRate: number;
  /** H.264: what is known of the publisher's parameter sets. */
  readonly parameterSets: ParameterSetStore | undefined;
  readonly #worker: IngestWorker;
  readonly #logger: Logger;
  readonly #openAgain: ProducerTrackOptions['reopen'];
  #producer: types.Producer;
  #form: ProducerForm = { isOpaque: false, anySsrc: false };
  #reopening: Promise<void> | undefined;
  #replaced: types.Producer | undefined;
  /** Emits `close` once. */
  readonly #ends = new EventEmitter<{ close: [] }>();
  /** When the last packet came, or the first subscription began. */
  #lastPacketMs = -Infinity;
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
    { parameterSets, reopen }: ProducerTrackOptions = {},
  ) {
    this.kind = kind;
    this.codec = codec;
    this.clockRate = clockRate;
    this.parameterSets = parameterSets;
    this.#producer = producer;
    this.#worker = worker;
    this.#logger = logger;
    this.#openAgain = reopen;
    this.#listen(producer);
  }

  /** The present one: see {@link reopen}. */
  get producer(): types.Producer {
    return this.#producer;
  }

  /** What is to be known of it, whichever producer it is. */
  get present(): WatchedProducer {
    const getProducer = (): types.Producer => this.#producer;
    return {
      get closed() {
        return getProducer().closed;
      },
      getStats: () => getProducer().getStats(),
      observer: this.#ends,
    };
  }

  /** Whether the publisher has agreed to PLI or FIR; mediasoup sends FIR where PLI was not agreed. */
  get takesRequests(): boolean {
    const feedback = this.#producer.rtpParameters.codecs[0]?.rtcpFeedback ?? [];
    return feedback.some(
      ({ type, parameter }) => `${type} ${parameter}` === 'nack pli' || `${type} ${parameter}` === 'ccm fir',
    );
  }

  get form(): ProducerForm {
    return this.#form;
  }

  /** Milliseconds since the last packet; `undefined` while the track is not read. */
  silentMs(nowMs: number): number | undefined {
    return this.#subscriptions.size === 0 || this.#reopening ? undefined : nowMs - this.#lastPacketMs;
  }

  /** Packets of the source since its beginning. */
  async packetCount(): Promise<number> {
    return (await this.producer.getStats()).reduce((sum, { packetCount }) => sum + packetCount, 0);
  }

  /**
   * Takes the packets of the track in another form. Subscriptions go on, with some packets missing; players of the track
   * are lost, as if the publisher had left.
   */
  reopen(form: Partial<ProducerForm>): Promise<void> {
    this.#reopening ??= this.#reopen({ ...this.#form, ...form }).finally(() => (this.#reopening = undefined));
    return this.#reopening;
  }

  async #reopen(form: ProducerForm): Promise<void> {
    if (!this.#openAgain || this.#producer.closed) return;
    this.#form = form;
    this.#replaced = this.#producer;
    this.#replaced.close();
    try {
      this.#producer = await this.#openAgain(form);
    } catch (error) {
      this.#ends.emit('close');
      for (const subscription of [...this.#subscriptions]) subscription.end();
      throw error;
    }
    this.#listen(this.#producer);
    this.#lastPacketMs = tickMs();
    await Promise.all([...this.#subscriptions].map((subscription) => this.#consumeAgain(subscription)));
  }

  #listen(producer: types.Producer): void {
    producer.on('trace', (trace) => this.#onTrace(trace));
    // Also when its transport, its router or its worker closes.
    producer.observer.once('close', () => {
      if (producer === this.#replaced) return;
      this.#ends.emit('close');
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
      roundTripMs: Math.max(0, ...layers.map(({ roundTripTime = 0 }) => roundTripTime)),
    };
  }

  async subscribe(): Promise<TrackSubscription> {
    await this.#reopening;
    const subscription = new ConsumerSubscription(
      await this.#consume(),
      this,
      (packet) => this.#deliver(subscription, packet),
      () => {
        leaveGate?.();
        this.#remove(subscription);
      },
      this.#worker,
    );
    const leaveGate = this.kind === 'video' ? this.#worker.probe.gate.add(subscription) : undefined;
    if (this.#bestLayer !== undefined) subscription.preferLayer(this.#bestLayer);
    this.#subscriptions.add(subscription);
    if (this.#subscriptions.size === 1) {
      this.#lastPacketMs = tickMs();
      this.#startPolling();
    }
    try {
      await this.producer.enableTraceEvent(['sr']);
    } catch (error) {
      subscription.close();
      throw error;
    }
    // The caller adds its listeners before the answer is read. With the answer, packets may be read that came after it.
    subscription.start().catch(() => subscription.end());
    return subscription;
  }

  #consume(): Promise<types.Consumer> {
    return this.#worker.directTransport.consume({
      producerId: this.producer.id,
      rtpCapabilities: plainCapabilities(this.#worker.router.rtpCapabilities),
      paused: true,
    });
  }

  /** @throws {Error} never: a subscription that cannot go on ends */
  async #consumeAgain(subscription: ConsumerSubscription): Promise<void> {
    try {
      const [consumer] = await Promise.all([this.#consume(), this.producer.enableTraceEvent(['sr'])]);
      await subscription.replace(consumer);
    } catch (error) {
      this.#logger.debug({ err: error }, 'a track could not be consumed again');
      subscription.end();
    }
  }

  /** A packet that cannot be processed must not stop those of other streams that were read with it. */
  #deliver(subscription: ConsumerSubscription, packet: Buffer): void {
    this.#lastPacketMs = tickMs();
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
