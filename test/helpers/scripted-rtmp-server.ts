import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { decodeAmf0, encodeAmf0 } from '../../src/media/amf0.ts';
import type { Amf0Value } from '../../src/media/amf0.ts';
import { ChunkReader } from '../../src/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../src/rtmp/chunk-writer.ts';
import { MESSAGE } from '../../src/rtmp/message.ts';
import type { RtmpMessage } from '../../src/rtmp/message.ts';

export interface ScriptedCommand {
  readonly name: string;
  readonly transaction: number;
  readonly values: Amf0Value[];
  readonly streamId: number;
}

/** Handles a command instead of the default behaviour. */
export type Answer = (peer: ScriptedPeer, command: ScriptedCommand) => void;

export interface ScriptedServerOptions {
  readonly answers?: Readonly<Record<string, Answer>>;
  /** Takes over the socket before the handshake. */
  readonly raw?: (socket: Socket) => void;
  /** Called for every message that is not a command. */
  readonly onMessage?: (peer: ScriptedPeer, message: RtmpMessage) => void;
}

/** One connection to a scripted server. */
export class ScriptedPeer {
  readonly socket: Socket;
  /** In order of arrival. */
  readonly commands: ScriptedCommand[] = [];
  readonly messages: RtmpMessage[] = [];
  /** Bytes received, including the handshake. */
  received = 0;
  readonly #writer = new ChunkWriter();

  constructor(socket: Socket) {
    this.socket = socket;
  }

  send(type: number, payload: Buffer, streamId = 0): void {
    this.#writer.write(this.socket, 3, type, streamId, 0, payload);
  }

  command(name: string, transaction: number, ...values: Amf0Value[]): void {
    this.send(MESSAGE.command, encodeAmf0(name, transaction, ...values), name === 'onStatus' ? 1 : 0);
  }

  status(level: string, code: string, description: string): void {
    this.command('onStatus', 0, null, { level, code, description });
  }

  reject(command: ScriptedCommand, code: string, description: string): void {
    this.command('_error', command.transaction, null, { level: 'error', code, description });
  }
}

const USUAL: Readonly<Record<string, Answer>> = {
  connect: (peer, { transaction }) =>
    peer.command(
      '_result',
      transaction,
      { fmsVer: 'FMS/3,0,1,123' },
      { level: 'status', code: 'NetConnection.Connect.Success' },
    ),
  createStream: (peer, { transaction }) => peer.command('_result', transaction, null, 1),
  publish: (peer) => peer.status('status', 'NetStream.Publish.Start', 'Started'),
};

export interface ScriptedServer {
  readonly port: number;
  readonly rtmpUrl: string;
  /** One per connection, in order. */
  readonly peers: ScriptedPeer[];
  stop(): Promise<void>;
}

/** An RTMP server that behaves as scripted, for faults that real servers do not produce on request. */
export async function startScriptedServer(options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
  const peers: ScriptedPeer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    if (options.raw) return options.raw(socket);
    const peer = new ScriptedPeer(socket);
    peers.push(peer);
    serve(peer, options);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    rtmpUrl: `rtmp://127.0.0.1:${port}/live`,
    peers,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serve(peer: ScriptedPeer, options: ScriptedServerOptions): void {
  const reader = new ChunkReader((message) => take(peer, message, options), 1 << 24);
  let handshake: Buffer | undefined = Buffer.alloc(0);
  peer.socket.on('data', (data: Buffer) => {
    peer.received += data.length;
    if (!handshake) return reader.push(data);
    const before = handshake.length;
    handshake = Buffer.concat([handshake, data]);
    // S0, S1 and S2 are sent after C0 and C1; C2 follows.
    if (before < 1537 && handshake.length >= 1537)
      peer.socket.write(Buffer.concat([handshake.subarray(0, 1537), handshake.subarray(1, 1537)]));
    if (handshake.length < 3073) return;
    const rest = handshake.subarray(3073);
    handshake = undefined;
    reader.push(rest);
  });
}

function take(peer: ScriptedPeer, message: RtmpMessage, options: ScriptedServerOptions): void {
  if (message.type !== MESSAGE.command) {
    peer.messages.push(message);
    return options.onMessage?.(peer, message);
  }
  const [name, transaction, ...values] = decodeAmf0(message.payload) as [string, number, ...Amf0Value[]];
  const command = { name, transaction, values, streamId: message.streamId };
  peer.commands.push(command);
  (options.answers?.[name] ?? USUAL[name])?.(peer, command);
}
