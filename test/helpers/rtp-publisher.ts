import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import nodeDataChannel from 'node-datachannel';
import { waitFor } from './wait.ts';

const PAYLOAD_TYPES = { vp8: 96, opus: 111 } as const;
/** UDP ports: mediasoup refuses a client from the address and port of one that vanished a moment ago (docs/webrtc.md). */
const FIRST_PORT = 31_000;
const PORTS_EACH = 16;
const PORT_RANGES = 60;
let ranges = 0;

export interface RtpPublisherOptions {
  readonly httpUrl: string;
  readonly stream: string;
  readonly codec: keyof typeof PAYLOAD_TYPES;
  /** The client's own address; by default 127.0.0.1. */
  readonly from?: string;
}

/** A WHIP publisher of one track that sends the RTP payloads it is given, valid or not. */
export class RtpPublisher {
  readonly #connection: InstanceType<typeof nodeDataChannel.PeerConnection>;
  readonly #track: nodeDataChannel.Track;
  readonly #payloadType: number;
  #sequence = 0;
  #location = '';

  private constructor({ stream, codec, from = '127.0.0.1' }: RtpPublisherOptions) {
    const portRangeBegin = FIRST_PORT + (ranges++ % PORT_RANGES) * PORTS_EACH;
    this.#connection = new nodeDataChannel.PeerConnection(stream, {
      iceServers: [],
      bindAddress: from,
      portRangeBegin,
      portRangeEnd: portRangeBegin + PORTS_EACH - 1,
      disableAutoNegotiation: true,
    });
    this.#payloadType = PAYLOAD_TYPES[codec];
    const media =
      codec === 'opus' ? new nodeDataChannel.Audio('0', 'SendOnly') : new nodeDataChannel.Video('0', 'SendOnly');
    if (media instanceof nodeDataChannel.Audio) media.addOpusCodec(this.#payloadType);
    else media.addVP8Codec(this.#payloadType);
    media.addSSRC(1, stream, stream, 'track');
    this.#track = this.#connection.addTrack(media);
  }

  /**
   * Resolves when packets can be sent.
   *
   * @throws {Error} with the answer's status and text if the offer is refused
   */
  static async start(options: RtpPublisherOptions): Promise<RtpPublisher> {
    const publisher = new RtpPublisher(options);
    try {
      await publisher.#negotiate(options);
      await waitFor('a WebRTC connection', () => publisher.#track.isOpen());
      return publisher;
    } catch (error) {
      publisher.stop();
      throw error;
    }
  }

  /** Path of the session, from the answer. */
  get location(): string {
    return this.#location;
  }

  send(payload: Buffer, timestamp: number): void {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = 0x80 | this.#payloadType;
    header.writeUInt16BE(this.#sequence++ & 0xffff, 2);
    header.writeUInt32BE(timestamp >>> 0, 4);
    header.writeUInt32BE(1, 8);
    this.#track.sendMessageBinary(Buffer.concat([header, payload]));
  }

  stop(): void {
    this.#connection.close();
  }

  async #negotiate({ httpUrl, stream, from = '127.0.0.1' }: RtpPublisherOptions): Promise<void> {
    const connection = this.#connection;
    connection.setLocalDescription('offer');
    await waitFor('the candidates', () => connection.gatheringState() === 'complete');
    const post = request(`${httpUrl}/whip/${stream}`, {
      method: 'POST',
      localAddress: from,
      agent: false,
      headers: { 'content-type': 'application/sdp' },
    });
    post.end(connection.localDescription()!.sdp);
    const [response] = (await once(post, 'response')) as [IncomingMessage];
    const answer = await text(response);
    if (response.statusCode !== 201) throw new Error(`WHIP answered ${response.statusCode}: ${answer}`);
    this.#location = response.headers.location ?? '';
    connection.setRemoteDescription(answer, 'answer');
  }
}
