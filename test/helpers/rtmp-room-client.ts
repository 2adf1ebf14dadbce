import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decodeAmf0, encodeAmf0, type Amf0Value } from '../../src/media/amf0.ts';
import { ChunkReader } from '../../src/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../src/rtmp/chunk-writer.ts';
import { createHello, HandshakeReader } from '../../src/rtmp/handshake.ts';
import { MESSAGE, USER_CONTROL, type RtmpMessage } from '../../src/rtmp/message.ts';
import {
  decodeSharedObject,
  encodeSharedObject,
  type SharedObjectEvent,
} from '../../src/rtmp/shared-object-message.ts';
import { waitFor } from './wait.ts';

/** An RTMP client for shared objects, made of the gateway's codec. It keeps what it is told about objects. */
export class RtmpRoomClient {
  readonly socket: Socket;
  readonly commands: Amf0Value[][] = [];
  readonly events: { readonly object: string; readonly event: SharedObjectEvent }[] = [];
  /** The properties of all objects, by `object key`, as this client sees them. */
  readonly properties = new Map<string, Amf0Value>();
  /** Every value that `object key` has had, in the order in which this client learned it. */
  readonly history: [property: string, value: Amf0Value][] = [];
  readonly #reader = new ChunkReader((message) => this.#take(message));
  readonly #writer = new ChunkWriter();
  readonly #handshake = new HandshakeReader();
  /** Values that this client has set and that have not been confirmed, by `object key`. */
  readonly #pending = new Map<string, Amf0Value[]>();
  #transactions = 0;
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
    socket.on('data', (data: Buffer) => {
      const rest = this.#handshake.complete ? data : this.#handshake.push(data);
      const c2 = this.#handshake.takeEcho();
      if (c2) socket.write(c2);
      if (rest.length > 0) this.#reader.push(rest);
    });
  }

  /** A TCP connection after the handshake. */
  static async open(port: number): Promise<RtmpRoomClient> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const client = new RtmpRoomClient(socket);
    socket.write(createHello());
    await waitFor('the handshake', () => client.#handshake.complete, { every: 5 });
    return client;
  }

  /** Connects to `app`, and returns the answer. */
  static async join(port: number, app: string): Promise<RtmpRoomClient> {
    const client = await RtmpRoomClient.open(port);
    const [name, , , info] = await client.call('connect', { app, objectEncoding: 0 });
    if (name !== '_result') throw new Error(`refused: ${JSON.stringify(info)}`);
    return client;
  }

  send(type: number, payload: Buffer, streamId = 0): void {
    this.#writer.write(this.socket, 3, type, streamId, 0, payload);
  }

  /** The answer: `_result` or `_error`, the transaction, and the values. */
  async call(name: string, ...values: Amf0Value[]): Promise<Amf0Value[]> {
    const transaction = ++this.#transactions;
    this.send(MESSAGE.command, encodeAmf0(name, transaction, ...values));
    return waitFor(
      `the answer of ${name}`,
      () => this.commands.find((command) => String(command[0]).startsWith('_') && command[1] === transaction),
      { every: 5 },
    );
  }

  object(name: string, ...events: SharedObjectEvent[]): void {
    for (const event of events) {
      if (event.type !== 'requestChange') continue;
      const property = `${name} ${event.key}`;
      this.#pending.set(property, [...(this.#pending.get(property) ?? []), event.value]);
    }
    this.send(MESSAGE.sharedObject, encodeSharedObject({ name, version: 0, persistent: false, events }));
  }

  close(): void {
    this.socket.destroy();
  }

  #take({ type, payload }: RtmpMessage): void {
    if (type === MESSAGE.command) this.commands.push(decodeAmf0(payload));
    else if (type === MESSAGE.sharedObject) this.#takeObject(payload);
    else if (type === MESSAGE.userControl && payload.readUInt16BE() === USER_CONTROL.pingRequest) {
      const pong = Buffer.from(payload);
      pong.writeUInt16BE(USER_CONTROL.pingResponse);
      this.send(MESSAGE.userControl, pong);
    }
  }

  #takeObject(payload: Buffer): void {
    const { name, events } = decodeSharedObject(payload, 100_000);
    for (const event of events) {
      this.events.push({ object: name, event });
      if (event.type === 'change') this.#learn(`${name} ${event.key}`, event.value);
      else if (event.type === 'success') {
        const property = `${name} ${event.key}`;
        this.#learn(property, this.#pending.get(property)?.shift());
      } else if (event.type === 'remove') this.properties.delete(`${name} ${event.key}`);
      else if (event.type === 'clear')
        for (const property of [...this.properties.keys()])
          if (property.startsWith(`${name} `)) this.properties.delete(property);
    }
  }

  #learn(property: string, value: Amf0Value): void {
    this.properties.set(property, value);
    this.history.push([property, value]);
  }
}
