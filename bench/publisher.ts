import { once } from 'node:events';
import nodeDataChannel from 'node-datachannel';
import type { Track } from 'node-datachannel';
import { WebSocket } from 'ws';
import { DEFAULT_PACKET_MS, FRAMES_PER_SECOND, RTP_HEADER_BYTES, type Clip } from './clip.ts';
import { createStamp, stampClock } from './stamp.ts';

export interface PublisherTarget {
  readonly name: string;
  /** The WCS WebSocket, or the WHIP endpoint without the stream's name. */
  readonly url: string;
  /** Pushed to as soon as it is published. */
  readonly rtmpUrl?: string;
}

/** Publishes to a room of Janus, which forwards its packets to two ports of loopback. */
export interface JanusTarget {
  readonly name: string;
  /** Janus's WebSocket. */
  readonly url: string;
  readonly audioPort: number;
  readonly videoPort: number;
}

/** RTP payload types. */
export const VIDEO_TYPE = 96;
export const AUDIO_TYPE = 111;
const FRAME_MS = 1000 / FRAMES_PER_SECOND;
const REPORT_MS = 1000;
const CONNECT_TIMEOUT_MS = 20_000;
/**
 * UDP ports: each publisher has a range of its own, which is reused after a thousand publishers. mediasoup refuses a client from the address and port of
 * one that vanished less than ten seconds ago (docs/webrtc.md).
 */
const FIRST_PORT = 33_000;
const PORTS_EACH = 16;
const PORT_RANGES = 1700;
let ranges = 0;
/** Seconds between the epochs of NTP and Unix. */
const NTP_EPOCH = 2_208_988_800;

const PT_PSFB = 206;
const FMT_PLI = 1;
const FMT_FIR = 4;

interface Sender {
  readonly track: Track;
  readonly ssrc: number;
  readonly payloadType: number;
  sequence: number;
  timestamp: number;
  packets: number;
  bytes: number;
}

/** A WebRTC publisher with ICE, DTLS and SRTP that sends the clip in a loop. */
export class Publisher {
  readonly name: string;
  /** Number of requests for a key frame. */
  keyFrameRequests = 0;
  readonly #clip: Clip;
  readonly #connection: InstanceType<typeof nodeDataChannel.PeerConnection>;
  readonly #video: Sender;
  readonly #audio: Sender;
  /** What the WCS WebSocket has last said of the stream. */
  status: StreamStatus | undefined;
  #answeredAt = 0;
  #leave: (() => Promise<void> | void) | undefined;
  #socket: WebSocket | undefined;
  #sending = false;
  #frame = 0;
  #packet = 0;
  #packetMs = DEFAULT_PACKET_MS;
  #nextFrameAt = 0;
  #nextPacketAt = 0;
  #nextReportAt = 0;

  private constructor(clip: Clip, name: string, bindTo = '127.0.0.1') {
    this.name = name;
    this.#clip = clip;
    const portRangeBegin = FIRST_PORT + (ranges++ % PORT_RANGES) * PORTS_EACH;
    const ports = { portRangeBegin, portRangeEnd: portRangeBegin + PORTS_EACH - 1 };
    this.#connection = new nodeDataChannel.PeerConnection(name, {
      iceServers: [],
      ...(bindTo ? { bindAddress: bindTo } : {}),
      ...ports,
      disableAutoNegotiation: true,
    });
    const ssrc = 1 + Math.floor(Math.random() * 0x7ffffff0);
    const audio = new nodeDataChannel.Audio('0', 'SendOnly');
    audio.addOpusCodec(AUDIO_TYPE, 'minptime=10;useinbandfec=1');
    audio.addSSRC(ssrc, name, name, 'audio');
    const video = new nodeDataChannel.Video('1', 'SendOnly');
    if (clip.codec === 'vp9') video.addVP9Codec(VIDEO_TYPE);
    else video.addH264Codec(VIDEO_TYPE, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
    video.addSSRC(ssrc + 1, name, name, 'video');
    this.#audio = sender(this.#connection.addTrack(audio), ssrc, AUDIO_TYPE);
    this.#video = sender(this.#connection.addTrack(video), ssrc + 1, VIDEO_TYPE);
    this.#video.track.onMessage((message) => this.#takeRtcp(message as Buffer | ArrayBuffer));
  }

  /** Publishes through the WCS WebSocket; resolves when the server says PUBLISHING and media flows. */
  static async overWcs(clip: Clip, target: PublisherTarget): Promise<Publisher> {
    const publisher = new Publisher(clip, target.name);
    return publisher.#start(() => publisher.#signalWcs(target));
  }

  /** Publishes through WHIP. */
  static async overWhip(clip: Clip, target: PublisherTarget): Promise<Publisher> {
    const publisher = new Publisher(clip, target.name);
    return publisher.#start(() => publisher.#signalWhip(target));
  }

  static async overJanus(clip: Clip, target: JanusTarget): Promise<Publisher> {
    const publisher = new Publisher(clip, target.name, '');
    return publisher.#start(() => publisher.#signalJanus(target));
  }

  /** Arrival of the server's SDP answer, in milliseconds of the stamps' clock. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  /** Sends what is due at this time. @returns when something is due again, in milliseconds of the same clock */
  send(nowMs: number): number {
    if (!this.#sending) return Infinity;
    for (; this.#nextPacketAt <= nowMs; this.#nextPacketAt += this.#packetMs) this.#sendAudio();
    for (; this.#nextFrameAt <= nowMs; this.#nextFrameAt += FRAME_MS) this.#sendFrame();
    if (this.#nextReportAt <= nowMs) this.#report(nowMs);
    return Math.min(this.#nextPacketAt, this.#nextFrameAt);
  }

  /** Ends the session properly. */
  async stop(): Promise<void> {
    this.#sending = false;
    await this.#leave?.();
    this.#connection.close();
  }

  /** Stops sending without a message, like a machine that loses its network. */
  vanish(): void {
    this.#sending = false;
    this.#socket?.terminate();
    this.#connection.close();
  }

  async #start(signal: () => Promise<void>): Promise<Publisher> {
    try {
      const connected = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`${this.name} did not connect: ${this.#progress()}`)),
          CONNECT_TIMEOUT_MS,
        );
        this.#connection.onStateChange((state) => {
          if (state !== 'connected') return;
          clearTimeout(timer);
          // Media from the first moment on, as a browser does.
          this.#begin();
          resolve();
        });
      });
      await Promise.all([signal(), connected]);
      return this;
    } catch (error) {
      this.vanish();
      throw error;
    }
  }

  /** State of the connection, for error messages. */
  #progress(): string {
    const connection = this.#connection;
    return `${this.#answeredAt ? 'answered' : 'not answered'}, gathering ${connection.gatheringState()}, ICE ${connection.iceState()}, all ${connection.state()}`;
  }

  #begin(): void {
    const nowMs = performance.now();
    this.#sending = true;
    this.#nextFrameAt = nowMs;
    this.#nextPacketAt = nowMs;
    this.#nextReportAt = nowMs + 100;
  }

  async #offer(): Promise<string> {
    const gathered = new Promise<void>((resolve) =>
      this.#connection.onGatheringStateChange((state) => state === 'complete' && resolve()),
    );
    this.#connection.setLocalDescription('offer');
    await gathered;
    return this.#connection.localDescription()!.sdp;
  }

  async #signalWhip({ name, url, rtmpUrl }: PublisherTarget): Promise<void> {
    const query = rtmpUrl ? `?rtmpUrl=${encodeURIComponent(rtmpUrl)}` : '';
    const response = await fetch(`${url}/${name}${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: await this.#offer(),
    });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(`WHIP answered ${response.status}: ${answer}`);
    const resource = new URL(response.headers.get('location')!, url);
    this.#leave = async () => void (await fetch(resource, { method: 'DELETE' }).catch(() => undefined));
    this.#accept(answer);
  }

  #accept(answer: string): void {
    this.#answeredAt = stampClock();
    // Follows the answer, as browsers do.
    this.#packetMs = Number(/^a=ptime:(\d+)\r?$/m.exec(answer)?.[1] ?? DEFAULT_PACKET_MS);
    this.#connection.setRemoteDescription(answer, 'answer');
  }

  async #signalWcs({ name, url, rtmpUrl }: PublisherTarget): Promise<void> {
    const sdp = await this.#offer();
    const socket = (this.#socket = new WebSocket(url));
    const mediaSessionId = crypto.randomUUID();
    const send = (message: string, ...data: unknown[]): void => socket.send(JSON.stringify({ message, data }));
    const about = {
      mediaSessionId,
      name,
      published: true,
      hasVideo: true,
      hasAudio: true,
      status: 'PENDING',
      record: false,
    };
    this.#leave = () => {
      if (socket.readyState === WebSocket.OPEN) send('unPublishStream', about);
      socket.close();
    };
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('close', () => reject(new Error(`${name}: the WebSocket closed`)));
      socket.on('open', () =>
        send('connection', { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: '2.0' }),
      );
      socket.on('message', (bytes: Buffer) => {
        const { message, data } = JSON.parse(bytes.toString()) as { message: string; data: unknown[] };
        if (message === 'ping') send('pong', null);
        else if (message === 'getUserData')
          send('publishStream', {
            ...about,
            mediaProvider: 'WebRTC',
            sdp,
            bitrate: 0,
            minBitrate: 0,
            maxBitrate: 0,
            ...(rtmpUrl && { rtmpUrl }),
          });
        else if (message === 'setRemoteSDP') this.#accept(String(data[1]));
        else if (message === 'notifyStreamStatusEvent') {
          const { status, info } = (this.status = data[0] as StreamStatus);
          if (status === 'PUBLISHING') resolve();
          else reject(new Error(`${name}: ${status} ${info ?? ''}`));
        }
      });
    });
  }

  async #signalJanus({ name, url, audioPort, videoPort }: JanusTarget): Promise<void> {
    const sdp = await this.#offer();
    const socket = (this.#socket = new WebSocket(url, 'janus-protocol'));
    this.#leave = () => socket.close();
    await once(socket, 'open');
    const waiting = new Map<string, (answer: JanusMessage) => void>();
    socket.on('message', (bytes: Buffer) => {
      const message = JSON.parse(bytes.toString()) as JanusMessage;
      // An acknowledgement is followed by the answer itself.
      if (message.janus !== 'ack') waiting.get(message.transaction ?? '')?.(message);
    });
    const ask = async (message: Record<string, unknown>): Promise<JanusMessage> => {
      const transaction = crypto.randomUUID();
      const answered = new Promise<JanusMessage>((resolve) => waiting.set(transaction, resolve));
      socket.send(JSON.stringify({ ...message, transaction }));
      const answer = await answered;
      const error = answer.error?.reason ?? answer.plugindata?.data.error;
      if (error) throw new Error(`${name}: Janus says ${error}`);
      return answer;
    };
    const session = (await ask({ janus: 'create' })).data!.id;
    const handle = (await ask({ janus: 'attach', session_id: session, plugin: 'janus.plugin.videoroom' })).data!.id;
    const request = (body: Record<string, unknown>, jsep?: unknown): Promise<JanusMessage> =>
      ask({ janus: 'message', session_id: session, handle_id: handle, body, ...(jsep ? { jsep } : {}) });
    const room = (
      (await request({ request: 'create', publishers: 1, audiocodec: 'opus', videocodec: 'h264' })).plugindata!
        .data as { room: number }
    ).room;
    const joined = await request(
      { request: 'joinandconfigure', ptype: 'publisher', room, display: name },
      { type: 'offer', sdp },
    );
    this.#accept(joined.jsep!.sdp);
    const streams = [
      { mid: '0', host: '127.0.0.1', port: audioPort, pt: AUDIO_TYPE },
      { mid: '1', host: '127.0.0.1', port: videoPort, pt: VIDEO_TYPE },
    ];
    await request({
      request: 'rtp_forward',
      room,
      publisher_id: (joined.plugindata!.data as { id: number }).id,
      host: '127.0.0.1',
      host_family: 'ipv4',
      streams,
    });
  }

  #sendFrame(): void {
    const { frames } = this.#clip;
    const { keyFrame, packets } = frames[this.#frame]!;
    this.#frame = (this.#frame + 1) % frames.length;
    this.#video.timestamp = (this.#video.timestamp + 90_000 / FRAMES_PER_SECOND) >>> 0;
    // Parameter sets stand first in their frame, the stamp after them. Only H.264 has a place for it.
    const stampAt = this.#clip.codec === 'h264' ? (keyFrame ? 1 : 0) : -1;
    packets.forEach((packet, index) => {
      if (index === stampAt)
        sendRtp(this.#video, Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), createStamp()]), false);
      sendRtp(this.#video, packet, index === packets.length - 1);
    });
  }

  #sendAudio(): void {
    const packets = this.#clip.audio.get(this.#packetMs)!;
    const payload = packets[this.#packet]!;
    this.#packet = (this.#packet + 1) % packets.length;
    this.#audio.timestamp = (this.#audio.timestamp + 48 * this.#packetMs) >>> 0;
    sendRtp(this.#audio, Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), payload]), false);
  }

  #report(nowMs: number): void {
    this.#nextReportAt = nowMs + REPORT_MS;
    for (const { sender: of, dueAt, perMs } of [
      { sender: this.#video, dueAt: this.#nextFrameAt - FRAME_MS, perMs: 90 },
      { sender: this.#audio, dueAt: this.#nextPacketAt - this.#packetMs, perMs: 48 },
    ]) {
      if (of.track.isOpen())
        of.track.sendMessageBinary(senderReport(of, nowMs, Math.round(of.timestamp + (nowMs - dueAt) * perMs) >>> 0));
    }
  }

  /** Answers a request for a key frame: continues at the clip's next one. */
  #takeRtcp(message: Buffer | ArrayBuffer): void {
    const bytes = Buffer.from(message as Buffer);
    for (let at = 0; at + 4 <= bytes.length; at += (bytes.readUInt16BE(at + 2) + 1) * 4) {
      const format = bytes[at]! & 0x1f;
      if (bytes[at + 1] !== PT_PSFB || (format !== FMT_PLI && format !== FMT_FIR)) continue;
      this.keyFrameRequests++;
      this.#frame = (Math.ceil(this.#frame / FRAMES_PER_SECOND) * FRAMES_PER_SECOND) % this.#clip.frames.length;
    }
  }
}

interface StreamStatus {
  readonly status: string;
  readonly info?: string;
}

/** The fields of Janus's answers that are used here. */
interface JanusMessage {
  readonly janus: string;
  readonly transaction?: string;
  readonly data?: { readonly id: number };
  readonly error?: { readonly reason: string };
  readonly plugindata?: { readonly data: { readonly error?: string } };
  readonly jsep?: { readonly sdp: string };
}

function sender(track: Track, ssrc: number, payloadType: number): Sender {
  return {
    track,
    ssrc,
    payloadType,
    sequence: Math.floor(Math.random() * 0x8000),
    timestamp: Math.floor(Math.random() * 0xffffffff),
    packets: 0,
    bytes: 0,
  };
}

/** Writes the header into the packet, which is shared by all publishers of the process: it is copied before this returns. */
function sendRtp(to: Sender, packet: Buffer, marker: boolean): void {
  packet[0] = 0x80;
  packet[1] = (marker ? 0x80 : 0) | to.payloadType;
  packet.writeUInt16BE((to.sequence = (to.sequence + 1) & 0xffff), 2);
  packet.writeUInt32BE(to.timestamp, 4);
  packet.writeUInt32BE(to.ssrc, 8);
  to.packets++;
  to.bytes += packet.length - RTP_HEADER_BYTES;
  if (to.track.isOpen()) to.track.sendMessageBinary(packet);
}

/** RFC 3550, 6.4.1: one instant on the wall clock and on the track's clock. Not the current time: the process may have been suspended meanwhile. */
function senderReport({ ssrc, packets, bytes }: Sender, nowMs: number, timestamp: number): Buffer {
  const wall = performance.timeOrigin + nowMs;
  const report = Buffer.alloc(28);
  report[0] = 0x80;
  report[1] = 200;
  report.writeUInt16BE(6, 2);
  report.writeUInt32BE(ssrc, 4);
  report.writeUInt32BE(Math.floor(wall / 1000) + NTP_EPOCH, 8);
  report.writeUInt32BE(Math.floor(((wall % 1000) / 1000) * 2 ** 32), 12);
  report.writeUInt32BE(timestamp, 16);
  report.writeUInt32BE(packets >>> 0, 20);
  report.writeUInt32BE(bytes >>> 0, 24);
  return report;
}
