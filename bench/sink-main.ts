import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { decodeAmf0, encodeAmf0, type Amf0Value } from '../src/media/amf0.ts';
import { silentAacFrame } from '../src/media/codecs/aac.ts';
import { ChunkReader } from '../src/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../src/rtmp/chunk-writer.ts';
import { MESSAGE, type RtmpMessage } from '../src/rtmp/message.ts';
import { serve } from './child-process.ts';
import { readStamp, stampClock } from './stamp.ts';

/** An RTMP server that only counts, in a process of its own. */

export interface SinkStream {
  readonly name: string;
  /** Milliseconds of the stamps' clock. */
  readonly connectedAt: number;
  firstKeyFrameAt: number;
  endedAt: number;
  frames: number;
  audioFrames: number;
  /** Of the audio frames: the silence that the gateway fills gaps with. */
  silentFrames: number;
  bytes: number;
  /** Largest difference between the timestamps of two adjacent video frames and of two audio frames, in milliseconds. */
  longestFrameGap: number;
  longestSoundGap: number;
  lastFrameTime: number;
  /** Longest time between the arrivals of two adjacent video frames, in milliseconds. */
  longestArrivalGap: number;
  lastArrival: number;
  lastSoundTime: number;
  /** Latencies from the publisher to this server, in milliseconds. */
  latencies: number[];
  /** When frames with a stamp, those of the publisher, have begun and ended. */
  turns: { readonly live: boolean; readonly at: number }[];
}

const MAX_MESSAGE_BYTES = 1 << 24;
const MAX_LATENCIES = 100_000;
const HANDSHAKE_BYTES = 1537;
const AAC_HEADER_BYTES = 2;
const SILENCE = silentAacFrame(2);

const streams: SinkStream[] = [];
/** Refuses a second publisher of a name, as many servers do. */
let exclusive = false;
const isPublished = (name: string): boolean => streams.some((one) => one.name === name && one.endedAt === 0);
const sockets = new Set<Socket>();
const peers = new WeakMap<Socket, Peer>();
let server: Server | undefined;

class Peer {
  readonly #socket: Socket;
  readonly #writer = new ChunkWriter();
  #stream: SinkStream | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new ChunkReader((message) => this.#take(message), MAX_MESSAGE_BYTES);
    let handshake: Buffer | undefined = Buffer.alloc(0);
    socket.on('data', (data: Buffer) => {
      if (this.#stream) this.#stream.bytes += data.length;
      if (!handshake) return reader.push(data);
      const before = handshake.length;
      handshake = Buffer.concat([handshake, data]);
      if (before < HANDSHAKE_BYTES && handshake.length >= HANDSHAKE_BYTES)
        socket.write(Buffer.concat([handshake.subarray(0, HANDSHAKE_BYTES), handshake.subarray(1, HANDSHAKE_BYTES)]));
      if (handshake.length < 2 * HANDSHAKE_BYTES - 1) return;
      const rest = handshake.subarray(2 * HANDSHAKE_BYTES - 1);
      handshake = undefined;
      reader.push(rest);
    });
    socket.on('close', () => {
      if (this.#stream) this.#stream.endedAt = stampClock();
    });
  }

  get name(): string | undefined {
    return this.#stream?.name;
  }

  #take({ type, timestamp, payload }: RtmpMessage): void {
    const stream = this.#stream;
    if (type === MESSAGE.command) this.#command(payload);
    else if (stream && type === MESSAGE.video && isFrame(payload)) takeFrame(stream, timestamp, payload);
    else if (stream && type === MESSAGE.audio && payload[1] === 1) {
      if (stream.audioFrames++ > 0)
        stream.longestSoundGap = Math.max(stream.longestSoundGap, timestamp - stream.lastSoundTime);
      stream.lastSoundTime = timestamp;
      if (SILENCE.equals(payload.subarray(AAC_HEADER_BYTES))) stream.silentFrames++;
    }
  }

  #command(payload: Buffer): void {
    const [name, transaction, , argument] = decodeAmf0(payload) as [string, number, unknown, unknown];
    const answer = (command: string, id: number, ...values: Amf0Value[]): void =>
      void this.#writer.write(
        this.#socket,
        3,
        MESSAGE.command,
        command === 'onStatus' ? 1 : 0,
        0,
        encodeAmf0(command, id, ...values),
      );
    if (name === 'connect')
      answer(
        '_result',
        transaction,
        { fmsVer: 'FMS/3,0,1,123' },
        { level: 'status', code: 'NetConnection.Connect.Success' },
      );
    else if (name === 'createStream') answer('_result', transaction, null, 1);
    else if (name === 'publish' && exclusive && isPublished(String(argument).split('?')[0]!))
      answer('onStatus', 0, null, {
        level: 'error',
        code: 'NetStream.Publish.BadName',
        description: 'Already publishing',
      });
    else if (name === 'publish') {
      this.#stream = {
        name: String(argument).split('?')[0]!,
        connectedAt: stampClock(),
        firstKeyFrameAt: 0,
        endedAt: 0,
        frames: 0,
        audioFrames: 0,
        silentFrames: 0,
        bytes: 0,
        longestFrameGap: 0,
        longestSoundGap: 0,
        lastFrameTime: 0,
        longestArrivalGap: 0,
        lastArrival: 0,
        lastSoundTime: 0,
        latencies: [],
        turns: [],
      };
      streams.push(this.#stream);
      answer('onStatus', 0, null, { level: 'status', code: 'NetStream.Publish.Start', description: 'Started' });
    }
  }
}

/** A frame of H.264, or, as Enhanced RTMP marks them, of a codec with a name. */
const isFrame = (payload: Buffer): boolean => (payload[0]! & 0x80 ? (payload[0]! & 0x0f) === 1 : payload[1] === 1);

function takeFrame(stream: SinkStream, timestamp: number, payload: Buffer): void {
  const nowMs = stampClock();
  if (stream.frames++ > 0) {
    stream.longestFrameGap = Math.max(stream.longestFrameGap, timestamp - stream.lastFrameTime);
    stream.longestArrivalGap = Math.max(stream.longestArrivalGap, nowMs - stream.lastArrival);
  }
  stream.lastArrival = nowMs;
  stream.lastFrameTime = timestamp;
  if (stream.firstKeyFrameAt === 0 && payload[0]! >> 4 === 1) stream.firstKeyFrameAt = nowMs;
  const sentAt = readStamp(payload);
  const live = sentAt !== undefined;
  if (stream.turns.at(-1)?.live !== live) stream.turns.push({ live, at: nowMs });
  if (sentAt !== undefined && stream.latencies.length < MAX_LATENCIES) stream.latencies.push(nowMs - sentAt);
}

function take(socket: Socket): void {
  sockets.add(socket);
  socket
    .setNoDelay(true)
    .on('error', () => {})
    .on('close', () => sockets.delete(socket));
  peers.set(socket, new Peer(socket));
}

async function bind(listening: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) =>
    listening.once('error', reject).listen(port, '127.0.0.1', 1024, resolve),
  );
  return (listening.address() as AddressInfo).port;
}

const requests = {
  /** @param port 0: any free one */
  async listen(port: number): Promise<number> {
    server = createServer(take);
    return bind(server, port);
  },
  /** Also listens for RTMPS, until the process ends. */
  listenSecurely: ({
    keyFile,
    certificateFile,
  }: {
    readonly keyFile: string;
    readonly certificateFile: string;
  }): Promise<number> =>
    bind(createTlsServer({ key: readFileSync(keyFile), cert: readFileSync(certificateFile) }, take), 0),
  /** Cuts every connection, and stops listening until `listen` is called again. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => server?.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  },
  streams: (): SinkStream[] => streams,
  /** Refuses a second publisher of a name, or accepts it. */
  setExclusive(on: boolean): void {
    exclusive = on;
  },
  /** Cuts one of the connections. @returns whether there was one */
  cut(name: string): boolean {
    for (const socket of sockets) {
      if (peers.get(socket)?.name !== name) continue;
      socket.destroy();
      return true;
    }
    return false;
  },
  /** Resets the figures; connections go on. */
  reset(): void {
    for (let i = streams.length - 1; i >= 0; i--) if (streams[i]!.endedAt > 0) streams.splice(i, 1);
    for (const stream of streams)
      Object.assign(stream, {
        frames: 0,
        audioFrames: 0,
        silentFrames: 0,
        bytes: 0,
        longestFrameGap: 0,
        longestSoundGap: 0,
        longestArrivalGap: 0,
        latencies: [],
      });
  },
  forget(): void {
    streams.length = 0;
  },
};
export type SinkRequests = typeof requests;
serve(requests);
