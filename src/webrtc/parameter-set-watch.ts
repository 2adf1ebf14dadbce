import type { ParameterSetStore } from '../media/codecs/avc-parameter-sets.ts';
import { H264Depacketizer, type AccessUnit } from '../media/rtp/h264.ts';
import { ReorderBuffer } from '../media/rtp/reorder-buffer.ts';
import { parseRtpPacket } from '../media/rtp/rtp-packet.ts';
import type { Logger } from '../observe/logger.ts';
import type { TrackSubscription } from '../streams/live-stream.ts';
import type { ProducerForm } from './producer-track.ts';

/** Milliseconds between two looks at a track from which nothing has come. */
const POLL_MS = 1000;
/** Without a second key frame, which often comes by itself, one is requested after the first, and once more: in polls. */
const REQUESTS: ReadonlySet<number> = new Set([3, 6]);
/** Polls with packets of which mediasoup forwards none: there are no sequence parameter sets in them. */
const SILENT_POLLS = 3;
const MAX_PACKETS_HELD = 512;
const REORDER_WAIT_MS = 200;

interface WatchedTrack {
  readonly producer: { readonly type: string; readonly closed: boolean };
  readonly form: ProducerForm;
  subscribe(): Promise<TrackSubscription>;
  reopen(form: Partial<ProducerForm>): Promise<void>;
  packetCount(): Promise<number>;
}

/**
 * Reads an H.264 track from its beginning on, so that parameter sets are known that are sent once, before an output
 * needs them. Browsers send them with each key frame: this ends with the second one. Otherwise the track is taken in a
 * form in which mediasoup forwards all of it, and is read as long as it lasts.
 */
export function watchParameterSets(track: WatchedTrack, sets: ParameterSetStore, logger: Logger): void {
  // Only browsers send layers.
  if (track.producer.type !== 'simple') return;
  track.subscribe().then(
    (subscription) => new ParameterSetWatch(track, subscription, sets, logger),
    (error: unknown) => logger.debug({ err: error }, 'parameter sets cannot be watched'),
  );
}

class ParameterSetWatch {
  readonly #track: WatchedTrack;
  readonly #subscription: TrackSubscription;
  readonly #logger: Logger;
  readonly #reorder = new ReorderBuffer({ maxPackets: MAX_PACKETS_HELD });
  readonly #h264: H264Depacketizer;
  readonly #timer: NodeJS.Timeout;
  #hasPackets = false;
  #keyFrames = 0;
  #pollsSinceKeyFrame = 0;
  #silentPolls = 0;

  constructor(track: WatchedTrack, subscription: TrackSubscription, sets: ParameterSetStore, logger: Logger) {
    this.#track = track;
    this.#subscription = subscription;
    this.#logger = logger;
    this.#h264 = new H264Depacketizer(sets, { provesMarkers: true });
    this.#timer = setInterval(() => this.#poll(), POLL_MS).unref();
    subscription.on('rtp', (datagram) => this.#take(datagram));
    subscription.on('interrupted', () => this.#h264.packetLost());
    subscription.on('ended', () => clearInterval(this.#timer));
  }

  #take(datagram: Buffer): void {
    const packet = parseRtpPacket(datagram);
    if (!packet) return;
    this.#hasPackets = true;
    const nowMs = performance.now();
    if (this.#reorder.passes(packet)) return this.#handle(this.#h264.push(packet));
    this.#reorder.push(packet, nowMs);
    for (const item of this.#reorder.pop(nowMs, REORDER_WAIT_MS))
      this.#handle('lost' in item ? this.#h264.packetLost() : this.#h264.push(item));
  }

  #handle(units: readonly AccessUnit[]): void {
    for (const { keyFrame, bringsSps } of units) {
      if (!keyFrame) continue;
      this.#keyFrames++;
      this.#pollsSinceKeyFrame = 0;
      if (!bringsSps) this.#takeAll('the publisher does not repeat its parameter sets');
      else if (this.#keyFrames > 1 && !this.#track.form.isOpaque) return this.#end();
    }
  }

  #poll(): void {
    if (this.#hasPackets) {
      this.#pollsSinceKeyFrame++;
      if (this.#keyFrames === 1 && REQUESTS.has(this.#pollsSinceKeyFrame)) this.#subscription.requestKeyFrame();
      return;
    }
    this.#track.packetCount().then(
      (count) => {
        this.#silentPolls = count > 0 && !this.#hasPackets ? this.#silentPolls + 1 : 0;
        if (this.#silentPolls >= SILENT_POLLS) this.#takeAll('the publisher sends no sequence parameter set');
      },
      () => clearInterval(this.#timer), // The producer was closed meanwhile.
    );
  }

  #takeAll(why: string): void {
    if (this.#track.form.isOpaque) return;
    this.#logger.info({ why }, 'video is read from its beginning on, and cannot be played with WebRTC');
    this.#track
      .reopen({ isOpaque: true })
      .catch((error: unknown) => this.#logger.debug({ err: error }, 'the track was closed meanwhile'));
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#subscription.removeAllListeners();
    this.#subscription.close();
  }
}
