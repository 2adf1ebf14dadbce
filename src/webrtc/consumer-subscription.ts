import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { TrackSubscription, TrackSubscriptionEvents } from '../streams/live-stream.ts';
import { MissedFrames } from './missed-frames.ts';
import type { GatedTrack } from './video-gate.ts';
import type { IngestWorker } from './worker-pool.ts';

/** RFC 3550, 5.1: the length of the fixed header, and where its fields are. */
const RTP_HEADER_BYTES = 12;
const RTP_SEQUENCE_NUMBER = 2;
const RTP_TIMESTAMP = 4;

/** One reader of a track: a mediasoup consumer, or several ones after each other. */
export class ConsumerSubscription
  extends EventEmitter<TrackSubscriptionEvents>
  implements TrackSubscription, GatedTrack
{
  readonly #track: { readonly roundTripMs: number; readonly producer: types.Producer };
  readonly #deliver: (packet: Buffer) => void;
  readonly #removed: () => void;
  readonly #worker: IngestWorker;
  #consumer: types.Consumer;
  #unlisten: (() => void) | undefined;
  /** Simulcast: the layer whose timestamps the packets have. */
  #clockSsrc: number | undefined;
  readonly #missed = new MissedFrames();
  /** The last sequence number, and what is added to those of the present consumer: they go on with those before. */
  #lastNumber = 0;
  #addedNumbers: number | undefined = 0;
  #paused = false;
  #closed = false;

  constructor(
    consumer: types.Consumer,
    track: { readonly roundTripMs: number; readonly producer: types.Producer },
    deliver: (packet: Buffer) => void,
    removed: () => void,
    worker: IngestWorker,
  ) {
    super();
    this.#track = track;
    this.#deliver = (packet) => {
      this.#number(packet);
      deliver(packet);
    };
    this.#removed = removed;
    this.#worker = worker;
    this.#consumer = consumer;
    this.#listen(consumer);
  }

  /** Packets flow from now on. */
  async start(): Promise<void> {
    await this.#consumer.resume();
  }

  /** Goes on with another consumer of the same track. */
  async replace(consumer: types.Consumer): Promise<void> {
    if (this.#closed) return consumer.close();
    this.#unlisten?.();
    this.#consumer = consumer;
    this.#addedNumbers = undefined;
    this.#listen(consumer);
    this.#interrupt();
    if (!this.#paused) await consumer.resume();
  }

  /** Writes a packet's sequence number. */
  #number(packet: Buffer): void {
    if (packet.length < RTP_HEADER_BYTES) return;
    const number = packet.readUInt16BE(RTP_SEQUENCE_NUMBER);
    this.#addedNumbers ??= this.#lastNumber + 1 - number;
    this.#lastNumber = (number + this.#addedNumbers) & 0xffff;
    if (this.#addedNumbers !== 0) packet.writeUInt16BE(this.#lastNumber, RTP_SEQUENCE_NUMBER);
  }

  #listen(consumer: types.Consumer): void {
    this.#unlisten = this.#worker.channel?.listen(consumer.id, this.#deliver);
    // Only packets that the worker's channel does not take.
    consumer.on('rtp', this.#deliver);
    consumer.on('layerschange', (layers) => {
      this.#clockSsrc ??=
        layers && this.#track.producer.score.find(({ encodingIdx }) => encodingIdx === layers.spatialLayer)?.ssrc;
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
    this.#unlisten?.();
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
    this.#unlisten?.();
    this.#removed();
    this.emit('ended');
  }
}
