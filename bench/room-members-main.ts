import { once } from 'node:events';
import { connect, type createConnection, type Socket, type TcpNetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { waitFor } from '../test/helpers/wait.ts';
import { serve } from './child-process.ts';
import { percentile } from './measure.ts';
import { stampClock } from './stamp.ts';

/** WebSocket members of one scope, in a process of their own. */

export type MessageKind = 'text' | 'change';

export interface Sending {
  /** One after the other, again and again. */
  readonly kinds: readonly MessageKind[];
  /** Messages per second, each by the next member. */
  readonly rate: number;
  readonly seconds: number;
  /** Characters of a text, or of the new value. */
  readonly length: number;
}

/** What the members have received, in milliseconds from the call of `send` at the sender. */
export interface Received {
  /** Until the last member has it, for each message that all have. */
  readonly toAll: readonly number[];
  /** Over all members. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly longest: number;
  /** Messages that members have not received. */
  readonly missing: number;
  /** Number of different orders in which members have received the messages: 1. */
  readonly orders: number;
  /** Bytes of the connection for one message to one member. */
  readonly bytes: number;
}

interface Member {
  readonly socket: WebSocket;
  readonly connection: Socket;
  /** Of the numbers of all messages, in the order of their arrival. */
  digest: number;
}

const OBJECT = 'so';
/** Large enough to fill the buffers of the kernel with some of its states. */
const LARGE_OBJECT = 'large';
const LARGE_VALUE = '.'.repeat(30_000);
/** How often a client that does not read asks for the state of the large object: less than the limits of a member. */
const STATES = 60;
/** Members that connect at the same time. */
const CONNECTING = 50;
const ARRIVAL_TIMEOUT_MS = 20_000;
/** In a message: its number, and when it was sent. */
const STAMP = /#(\d+) ([\d.]+)#/;

const members: Member[] = [];
let latencies: number[] = [];
/** By the number of the message. */
let arrived: { count: number; latency: number }[] = [];

function receive(member: Member, text: string): void {
  const stamp = STAMP.exec(text);
  if (!stamp) return;
  const index = Number(stamp[1]);
  const latency = stampClock() - Number(stamp[2]);
  latencies.push(latency);
  const message = (arrived[index] ??= { count: 0, latency: 0 });
  message.count++;
  message.latency = Math.max(message.latency, latency);
  member.digest = (Math.imul(member.digest, 31) + index) | 0;
}

/** Resolves when the member is connected to the object and has its state. */
async function join(url: string): Promise<void> {
  let connection!: Socket;
  const socket = new WebSocket(url, {
    createConnection: ((options: TcpNetConnectOpts) => (connection = connect(options))) as typeof createConnection,
  });
  await once(socket, 'open');
  const member: Member = { socket, connection, digest: 0 };
  const connected = new Promise<void>((resolve) =>
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      receive(member, text);
      if (text.startsWith('{"data":{"type":"sharedobject"')) resolve();
    }),
  );
  socket.on('error', () => undefined);
  socket.on('close', () => void members.splice(members.indexOf(member), 1));
  socket.send(frameFor('sharedObjectConnect', OBJECT));
  await connected;
  members.push(member);
}

const frameFor = (type: string, name: string, content: object = {}): string =>
  JSON.stringify({ [type]: { name, ...content } });

async function openDeaf(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.pause();
  return socket;
}

function frameOf(kind: MessageKind, index: number, length: number): string {
  const value = `#${index} ${stampClock()}#`.padEnd(length, '.');
  return kind === 'text' ? value : frameFor('sharedObjectSetProperty', OBJECT, { key: 'k', value });
}

const bytesRead = (): number => members.reduce((sum, { connection }) => sum + connection.bytesRead, 0);

const requests = {
  /** @returns milliseconds until all have joined */
  async join({ url, count }: { readonly url: string; readonly count: number }): Promise<number> {
    const startedAt = performance.now();
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next++ < count) await join(url);
    };
    await Promise.all(Array.from({ length: CONNECTING }, worker));
    return performance.now() - startedAt;
  },
  async send({ kinds, rate, seconds, length }: Sending): Promise<Received> {
    const count = Math.round(rate * seconds);
    const [expected, bytesBefore, startedAt] = [members.length, bytesRead(), performance.now()];
    latencies = [];
    arrived = [];
    for (const member of members) member.digest = 0;
    for (let index = 0; index < count; index++) {
      members[index % members.length]!.socket.send(frameOf(kinds[index % kinds.length]!, index, length));
      await sleep(Math.max(0, startedAt + ((index + 1) * 1000) / rate - performance.now()));
    }
    const complete = (): boolean => latencies.length >= count * expected;
    await waitFor('all messages', complete, { timeout: ARRIVAL_TIMEOUT_MS }).catch(() => undefined);
    latencies.sort((a, b) => a - b);
    return {
      toAll: arrived.filter((message) => message.count === expected).map(({ latency }) => latency),
      p50: percentile(latencies, 50),
      p95: percentile(latencies, 95),
      p99: percentile(latencies, 99),
      longest: latencies.at(-1) ?? NaN,
      missing: count * expected - latencies.length,
      orders: new Set(members.map(({ digest }) => digest)).size,
      bytes: (bytesRead() - bytesBefore) / Math.max(1, latencies.length),
    };
  },
  /** One further member that keeps a large object, and `count` that ask for its state again and again and do not read. */
  async joinDeaf({ url, count }: { readonly url: string; readonly count: number }): Promise<void> {
    const keeper = await openDeaf(url);
    keeper.resume();
    keeper.send(frameFor('sharedObjectConnect', LARGE_OBJECT));
    for (const key of ['a', 'b', 'c'])
      keeper.send(frameFor('sharedObjectSetProperty', LARGE_OBJECT, { key, value: LARGE_VALUE }));
    for (let index = 0; index < count; index++) {
      const deaf = await openDeaf(url);
      for (let state = 0; state < STATES; state++) {
        deaf.send(frameFor('sharedObjectConnect', LARGE_OBJECT), () => undefined);
        deaf.send(frameFor('sharedObjectClose', LARGE_OBJECT), () => undefined);
      }
    }
  },
};
export type RoomMembersRequests = typeof requests;
serve(requests);
