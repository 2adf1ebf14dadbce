import { randomInt, randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import { GatewayError } from '../../errors.ts';
import { parseRtpPacket } from '../../media/rtp/rtp-packet.ts';
import type { Logger } from '../../observe/logger.ts';
import type { SourceSession } from '../../sessions/source-session.ts';
import { guarded } from '../../runtime/in-background.ts';
import { Ticker } from '../../runtime/ticker.ts';
import type { AudioCodec, Playback, PlaybackOptions, PublisherMetrics } from '../../streams/live-stream.ts';
import { DEFAULT_H264_PROFILE, routableProfile } from '../../webrtc/codecs.ts';
import { watchParameterSets } from '../../webrtc/parameter-set-watch.ts';
import { PlaySession } from '../../webrtc/play-session.ts';
import {
  ProducerTrack,
  type ProducerAudioTrack,
  type ProducerForm,
  type ProducerVideoTrack,
} from '../../webrtc/producer-track.ts';
import { parameterSetsOf } from '../../webrtc/sprop.ts';
import { watchStalls } from '../../webrtc/stall-watch.ts';
import { failureOf, workerDied } from '../../webrtc/worker-failure.ts';
import type { IngestWorker } from '../../webrtc/worker-pool.ts';
import type { CallMedia } from './call-media.ts';
import type { AgreedLine } from './call-sdp.ts';
import type { CallVideoCodec } from './codecs.ts';
import { FRAME_MS, OutgoingAudio } from './outgoing-audio.ts';
import type { RtpLine } from './rtp-line.ts';
import { VideoRequests } from './video-requests.ts';
import { keyFrameRequestOf, splitRtcp } from './rtcp.ts';

export interface SipSessionOptions {
  readonly worker: IngestWorker;
  readonly media: CallMedia;
  /** Asks for a key frame by signalling. @returns the status of the answer */
  readonly sendMediaControl: () => Promise<number>;
  /** Ends the call; called once. */
  readonly onClose: (reason: GatewayError | undefined) => void;
  /** Milliseconds without a packet after which the peer is taken for lost; 0: never. */
  readonly inactivityMs: number;
  readonly now: () => number;
  readonly logger: Logger;
}

export interface SipSessionEvents {
  connected: [];
  unmatched: [problem: GatewayError | undefined];
  lost: [reason: GatewayError];
}

const REPORT_MS = 5000;
/** Milliseconds after the answer without a packet, until the call counts as established. */
const FIRST_PACKET_MS = 1000;
const KEY_FRAME_REQUEST_DELAY_MS = 300;
/** See `producer-track.ts`: a codec of which mediasoup reads nothing. */
const OPAQUE_CODEC = 'video/AV1';

/** The media of an answered call as a source of a stream: from its sockets to mediasoup, and back. */
export class SipSession extends EventEmitter<SipSessionEvents> implements SourceSession {
  readonly id = randomUUID();
  readonly worker: IngestWorker;
  readonly #options: SipSessionOptions;
  readonly #transport: types.DirectTransport;
  readonly #reportSsrc = randomInt(1, 2 ** 32 - 1);
  readonly #stops: (() => void)[] = [];
  readonly #beganMs: number;
  #audio: ProducerAudioTrack | undefined;
  #video: ProducerVideoTrack | undefined;
  #outgoing: OutgoingAudio | undefined;
  #requests: VideoRequests | undefined;
  #reportedMs = 0;
  /** When the call was last on hold. */
  #heldMs = 0;
  #connected = false;
  #closed = false;

  private constructor(options: SipSessionOptions, transport: types.DirectTransport) {
    super();
    this.#options = options;
    this.worker = options.worker;
    this.#transport = transport;
    this.#beganMs = options.now();
    options.worker.sessions++;
    transport.observer.once('close', () => {
      options.worker.sessions--;
      this.#lose(options.worker.worker.died ? workerDied() : lostMedia('The media worker has closed the call.'));
    });
  }

  /** @throws {GatewayError} WORKER_DIED, SHUTTING_DOWN, NO_COMMON_CODECS */
  static async create(options: SipSessionOptions): Promise<SipSession> {
    const { worker, media, logger } = options;
    let session: SipSession | undefined;
    try {
      session = new SipSession(options, await worker.router.createDirectTransport());
      const { audio, video } = media.agreed ?? {};
      if (audio) await session.#produceAudio(media.audio!, audio, logger);
      if (video) await session.#produceVideo(media.video!, video, logger);
      return session;
    } catch (error) {
      session?.close();
      throw failureOf(worker.worker, error);
    }
  }

  get audio(): ProducerAudioTrack | undefined {
    return this.#audio;
  }

  get video(): ProducerVideoTrack | undefined {
    return this.#video;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What the peer hears: silence, until something else is chosen. */
  get outgoing(): OutgoingAudio | undefined {
    return this.#outgoing;
  }

  /** Media flows: to be called when everybody listens. `connected` follows. */
  start(): void {
    if (this.#closed) return;
    const { media } = this.#options;
    const guard = guarded(
      () => this.#lose(lostMedia('An internal error ended the call.')),
      () => this.#tick(),
    );
    this.#stops.push(Ticker.every(FRAME_MS).listen(guard));
    for (const line of media.lines) {
      const onFirst = (): void => this.#connect();
      line.once('first', onFirst);
      this.#stops.push(() => line.off('first', onFirst));
      if (line.lastPacketMs !== undefined) this.#connect();
    }
  }

  play(options: PlaybackOptions): Promise<Playback> {
    return PlaySession.create({ ...options, publisher: this });
  }

  async metrics(): Promise<PublisherMetrics> {
    try {
      const [audio, video] = await Promise.all([this.#audio?.metrics(), this.#video?.metrics()]);
      return { ...(audio && { audio }), ...(video && { video }) };
    } catch (error) {
      if (this.#closed) return {};
      throw failureOf(this.worker.worker, error);
    }
  }

  onStall(listener: () => void): void {
    const track = this.#video ?? this.#audio;
    if (track) watchStalls(track.present, listener);
  }

  /** Ends with a reason as if the peer had gone: the stream may be held. Idempotent. */
  lose(reason: GatewayError): void {
    this.#lose(reason);
  }

  /** Idempotent. */
  close(reason?: GatewayError): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#options.media.close();
    this.#transport.close();
    this.#options.onClose(reason);
  }

  #lose(reason: GatewayError): void {
    if (this.#closed) return;
    this.emit('lost', reason);
    this.close(reason);
  }

  #connect(): void {
    if (this.#connected || this.#closed) return;
    this.#connected = true;
    // Not within the listener of a socket: the publication starts pushes.
    setImmediate(
      guarded(
        (error) => this.#lose(lostMedia(String(error))),
        () => this.emit('connected'),
      ),
    );
  }

  async #produceAudio(line: RtpLine, agreed: AgreedLine<AudioCodec>, logger: Logger): Promise<void> {
    const { codec, telephoneEvent } = agreed;
    const ssrc = randomInt(1, 2 ** 32 - 1);
    const { name, encoding, clockRate, channels } = codec;
    const payloadType = AUDIO_TYPES[name];
    const producer = await this.#transport.produce({
      kind: 'audio',
      rtpParameters: {
        codecs: [
          {
            mimeType: `audio/${MIME_NAMES[encoding.toLowerCase()] ?? encoding}`,
            payloadType,
            clockRate,
            ...(channels === 2 && { channels }),
          },
        ],
        encodings: [{ ssrc }],
        rtcp: { cname: this.id },
      },
    });
    this.#audio = new ProducerTrack('audio', name, clockRate, producer, this.worker, logger);
    this.#outgoing = new OutgoingAudio(codec, telephoneEvent);
    this.#feed(line, { ssrc, payloadType, send: (packet) => producer.send(packet) });
  }

  async #produceVideo(line: RtpLine, agreed: AgreedLine<CallVideoCodec>, logger: Logger): Promise<void> {
    const { codec, remote } = agreed;
    const ssrc = randomInt(1, 2 ** 32 - 1);
    const payloadType = VIDEO_TYPE;
    const parameters = Object.fromEntries(
      codec.fmtp.split(';').flatMap((part) => {
        const [key = '', ...value] = part.trim().split('=');
        return key === '' ? [] : [[key, value.join('=')]];
      }),
    );
    const open = async ({ isOpaque }: Pick<ProducerForm, 'isOpaque'>): Promise<types.Producer> => {
      const profile = routableProfile(parameters['profile-level-id'] ?? DEFAULT_H264_PROFILE);
      const isH264 = codec.name === 'h264';
      producer = await this.#transport.produce({
        kind: 'video',
        keyFrameRequestDelay: KEY_FRAME_REQUEST_DELAY_MS,
        rtpParameters: {
          codecs: [
            {
              mimeType: isOpaque ? OPAQUE_CODEC : isH264 ? 'video/H264' : 'video/VP8',
              payloadType,
              clockRate: codec.clockRate,
              // The router only forwards packets: both modes pass.
              parameters: isH264 && !isOpaque ? { 'packetization-mode': 1, 'profile-level-id': profile } : {},
              rtcpFeedback: [
                { type: 'nack', parameter: 'pli' },
                { type: 'ccm', parameter: 'fir' },
              ],
            },
          ],
          encodings: [{ ssrc }],
          rtcp: { cname: this.id },
        },
      });
      return producer;
    };
    let producer: types.Producer;
    const first = await open({ isOpaque: false });
    const parameterSets =
      codec.name === 'h264'
        ? parameterSetsOf({ codecs: [{ mimeType: 'video/H264', payloadType, clockRate: 90_000, parameters }] })
        : undefined;
    const track = new ProducerTrack('video', codec.name, codec.clockRate, first, this.worker, logger, {
      ...(parameterSets && { parameterSets }),
      reopen: open,
    });
    this.#video = track;
    if (parameterSets) watchParameterSets(track, parameterSets, logger);
    const requests = new VideoRequests({
      feedback: remote.feedback,
      codec: codec.name,
      now: this.#options.now,
      sendFeedback: (part) => line.report(this.#reportSsrc, part),
      sendMediaControl: this.#options.sendMediaControl,
      ssrc: this.#reportSsrc,
      remoteSsrc: () => line.remoteSsrc,
    });
    this.#requests = requests;
    this.#transport.on(
      'rtcp',
      guarded(
        () => undefined,
        (packet: Buffer) => {
          for (const part of splitRtcp(packet)) if (keyFrameRequestOf(part) === ssrc) requests.request();
        },
      ),
    );
    this.#feed(line, {
      ssrc,
      payloadType,
      send: (packet) => {
        const parsed = parseRtpPacket(packet);
        if (parsed) requests.take(parsed.payload);
        producer.send(packet);
      },
    });
    // Each call begins with one, whatever was lost before.
    requests.request();
  }
  #feed(
    line: RtpLine,
    { ssrc, payloadType, send }: { ssrc: number; payloadType: number; send: (packet: Buffer) => void },
  ): void {
    line.attach({
      ssrc,
      payloadType,
      rtp: (packet) => {
        if (!this.#closed) send(packet);
      },
      rtcp: (packet) => {
        if (!this.#closed) this.#transport.sendRtcp(packet);
      },
    });
  }

  #tick(): void {
    const { media, inactivityMs, now } = this.#options;
    const nowMs = now();
    for (const packet of this.#outgoing?.due(nowMs) ?? []) media.audio?.send(packet);
    if (nowMs - this.#beganMs >= FIRST_PACKET_MS) this.#connect();
    this.#requests?.poll();
    if (nowMs - this.#reportedMs < REPORT_MS) return;
    this.#reportedMs = nowMs;
    for (const line of media.lines) line.report(this.#reportSsrc);
    if (inactivityMs === 0 || media.isHeld) return void (this.#heldMs = nowMs);
    const last = Math.max(this.#beganMs, this.#heldMs, ...media.lines.map(({ lastPacketMs = 0 }) => lastPacketMs));
    if (nowMs - last >= inactivityMs) this.#lose(silentPeer(inactivityMs));
  }
}

const lostMedia = (message: string): GatewayError => new GatewayError('PUBLISHER_LOST', message);

/** The stream may be held for another call; the cause is the reason of this one. */
function silentPeer(inactivityMs: number): GatewayError {
  const message =
    `No RTP has come for ${Math.round(inactivityMs / 1000)} s (rtp_activity_detecting). Check the address that ` +
    'the peer sends to, and the firewall in front of media_port_from to media_port_to.';
  return new GatewayError('PUBLISHER_LOST', message, { cause: new GatewayError('SIP_MEDIA_TIMEOUT', message) });
}

/** Payload types between the call and mediasoup: those of the peer may collide with others. */
const AUDIO_TYPES: Readonly<Record<AudioCodec, number>> = { pcmu: 0, pcma: 8, opus: 96 };
const VIDEO_TYPE = 97;
const MIME_NAMES: Readonly<Record<string, string>> = { pcmu: 'PCMU', pcma: 'PCMA', opus: 'opus' };
