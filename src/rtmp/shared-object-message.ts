import { Amf0Error, decodeAmf0, decodeAmf0Value, encodeAmf0, type Amf0Value } from '../media/amf0.ts';

/**
 * Shared object messages (RTMP 1.0, 7.1.3): the name of an object, its version, and a list of events. Message type 19;
 * clients that have asked for AMF3 send type 16, which is the same after one more byte.
 */

/** What an event says; the comment tells who sends it. */
export type SharedObjectEvent =
  /** Client: connects to the object. */
  | { readonly type: 'use' }
  /** Client: disconnects from it. */
  | { readonly type: 'release' }
  /** Client: sets a property. */
  | { readonly type: 'requestChange'; readonly key: string; readonly value: Amf0Value }
  /** Server: a property has been set by another client, or belongs to the state at the beginning. */
  | { readonly type: 'change'; readonly key: string; readonly value: Amf0Value }
  /** Server: the receiver's own change has been made. */
  | { readonly type: 'success'; readonly key: string }
  /** Both: calls a method of all clients. */
  | { readonly type: 'sendMessage'; readonly method: string; readonly args: readonly Amf0Value[] }
  /** Server: something was refused. */
  | { readonly type: 'status'; readonly code: string; readonly level: string }
  /** Server: all properties are gone. */
  | { readonly type: 'clear' }
  /** Server: a property is gone. */
  | { readonly type: 'remove'; readonly key: string }
  /** Client: removes a property. */
  | { readonly type: 'requestRemove'; readonly key: string }
  /** Server: the client is connected; the state follows. */
  | { readonly type: 'initialData' };

export interface SharedObjectMessage {
  readonly name: string;
  /** Of the object, counted by the server. */
  readonly version: number;
  readonly persistent: boolean;
  readonly events: readonly SharedObjectEvent[];
}

const TYPES = {
  use: 1,
  release: 2,
  requestChange: 3,
  change: 4,
  success: 5,
  sendMessage: 6,
  status: 7,
  clear: 8,
  remove: 9,
  requestRemove: 10,
  initialData: 11,
} as const satisfies Record<SharedObjectEvent['type'], number>;

const NAMES: ReadonlyMap<number, SharedObjectEvent['type']> = new Map(
  Object.entries(TYPES).map(([name, code]) => [code, name as SharedObjectEvent['type']]),
);

/** The value of the first flag for an object that outlives its clients. */
const PERSISTENT = 2;
const MAX_NAME_BYTES = 0xffff;

/** @throws {Amf0Error} for a name or a key over 65 535 bytes, and for values that cannot be encoded */
export function encodeSharedObject({ name, version, persistent, events }: SharedObjectMessage): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(version >>> 0, 0);
  head.writeUInt32BE(persistent ? PERSISTENT : 0, 4);
  return Buffer.concat([encodeName(name), head, ...events.map(encodeEvent)]);
}

function encodeEvent(event: SharedObjectEvent): Buffer {
  const body = encodeBody(event);
  const head = Buffer.allocUnsafe(5);
  head[0] = TYPES[event.type];
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function encodeBody(event: SharedObjectEvent): Buffer {
  switch (event.type) {
    case 'use':
    case 'release':
    case 'clear':
    case 'initialData':
      return Buffer.alloc(0);
    case 'requestChange':
    case 'change':
      return Buffer.concat([encodeName(event.key), encodeAmf0(event.value)]);
    case 'success':
    case 'remove':
    case 'requestRemove':
      return encodeName(event.key);
    case 'sendMessage':
      return encodeAmf0(event.method, ...event.args);
    case 'status':
      return Buffer.concat([encodeName(event.code), encodeName(event.level)]);
  }
}

function encodeName(name: string): Buffer {
  const text = Buffer.from(name);
  if (text.length > MAX_NAME_BYTES) throw new Amf0Error('A name is longer than 65535 bytes');
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, text]);
}

/**
 * Unknown events are left out.
 *
 * @throws {Amf0Error} for truncated or malformed bytes, and for more than `maxEvents`
 */
export function decodeSharedObject(payload: Buffer, maxEvents: number): SharedObjectMessage {
  const name = readName(payload, 0);
  let position = name.end + 12;
  if (position > payload.length) throw truncated();
  const events: SharedObjectEvent[] = [];
  for (let count = 1; position < payload.length; count++) {
    if (count > maxEvents) throw new Amf0Error(`A shared object message has more than ${maxEvents} events`);
    if (position + 5 > payload.length) throw truncated();
    const start = position + 5;
    const end = start + payload.readUInt32BE(position + 1);
    if (end > payload.length) throw truncated();
    const type = NAMES.get(payload[position]!);
    if (type) for (const event of decodeEvents(type, payload.subarray(start, end))) events.push(event);
    position = end;
  }
  // Every event costs at least five bytes; a change may hold several properties.
  if (events.length > maxEvents) throw new Amf0Error(`A shared object message has more than ${maxEvents} events`);
  return {
    name: name.text,
    version: payload.readUInt32BE(name.end),
    persistent: payload.readUInt32BE(name.end + 4) === PERSISTENT,
    events,
  };
}

function decodeEvents(type: SharedObjectEvent['type'], body: Buffer): SharedObjectEvent[] {
  switch (type) {
    case 'use':
    case 'release':
    case 'clear':
    case 'initialData':
      return [{ type }];
    case 'requestChange':
    case 'change':
      return decodeProperties(body).map(([key, value]) => ({ type, key, value }));
    case 'success':
    case 'remove':
    case 'requestRemove':
      return [{ type, key: readName(body, 0).text }];
    case 'sendMessage': {
      const [method, ...args] = decodeAmf0(body);
      if (typeof method !== 'string') throw new Amf0Error('A shared object message calls a method without a name');
      return [{ type, method, args }];
    }
    case 'status': {
      const code = readName(body, 0);
      return [{ type, code: code.text, level: readName(body, code.end).text }];
    }
  }
}

/** Usually one; some servers put several properties into one event. */
function decodeProperties(body: Buffer): [key: string, value: Amf0Value][] {
  const properties: [string, Amf0Value][] = [];
  for (let position = 0; position < body.length;) {
    const key = readName(body, position);
    const { value, bytes } = decodeAmf0Value(body.subarray(key.end));
    properties.push([key.text, value]);
    position = key.end + bytes;
  }
  return properties;
}

function readName(bytes: Buffer, at: number): { readonly text: string; readonly end: number } {
  if (at + 2 > bytes.length) throw truncated();
  const end = at + 2 + bytes.readUInt16BE(at);
  if (end > bytes.length) throw truncated();
  return { text: bytes.toString('utf8', at + 2, end), end };
}

const truncated = (): Amf0Error => new Amf0Error('A shared object message is truncated');
