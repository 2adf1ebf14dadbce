import { z } from 'zod';
import type { JsonValue, ObjectChange } from '../room-client.ts';

/** The JSON frames of Red5 Pro's clients, over WebSockets and data channels. Pure. */

/** Characters. Longer names are refused by the rooms with a reason. */
const Name = z.string('must be a text').min(1, 'must not be empty').max(1024, 'is too long');
const Named = z.object({ name: Name });
/** The frame has been parsed from JSON, so every value is JSON. */
const Value = z.custom<JsonValue | undefined>(() => true).optional();

/** What clients send. Exactly one of these keys. */
const FRAMES = {
  sharedObjectGetRemote: z.object({ name: Name, persistent: z.boolean().default(false) }),
  sharedObjectConnect: z.object({ name: Name, persistent: z.boolean().default(false) }),
  sharedObjectClose: Named,
  /** Without a value, or with null, the property is removed. */
  sharedObjectSetProperty: z.object({ name: Name, key: Name, value: Value }),
  sharedObjectClear: Named,
  sharedObjectSend: z.object({ name: Name, method: Name, message: Value }),
  /** To the players of the sender's stream. */
  send: z.object({ method: Name, data: Value }),
  mute: z.object({ muteAudio: z.boolean().optional(), muteVideo: z.boolean().optional() }),
  callAdapter: z.object({ method: Name, arguments: Value }),
} as const;

type Frames = typeof FRAMES;
export type FrameName = keyof Frames;
/** Sent back with the answer of a call. */
const Id = z.union([z.string().max(128), z.number()]).optional();

/** A frame of a client. */
export type ClientFrame = {
  [Name in FrameName]: {
    readonly type: Name;
    readonly id: z.output<typeof Id>;
    readonly content: z.output<Frames[Name]>;
  };
}[FrameName];

export type ParsedFrame =
  | { readonly type: 'frame'; readonly frame: ClientFrame }
  /** Not one of the frames: a text for all in the scope. */
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'malformed'; readonly id: z.output<typeof Id>; readonly reason: string };

/** Levels of arrays and objects in a frame: deep ones would exhaust the stack. */
const MAX_DEPTH = 32;

export function parseFrame(text: string): ParsedFrame {
  if (!text.trimStart().startsWith('{')) return { type: 'text', text };
  if (depthOf(text) > MAX_DEPTH)
    return { type: 'malformed', id: undefined, reason: `The frame has more than ${MAX_DEPTH} levels.` };
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { type: 'text', text };
  }
  const type = (Object.keys(FRAMES) as FrameName[]).find((name) => Object.hasOwn(json, name));
  if (!type) return { type: 'text', text };
  const id = Id.safeParse(json['id']).data;
  const content = FRAMES[type].safeParse(json[type]);
  if (content.success) return { type: 'frame', frame: { type, id, content: content.data } as ClientFrame };
  const { path, message } = content.error.issues[0]!;
  return { type: 'malformed', id, reason: `${[type, ...path.map(String)].join('.')} ${message}.` };
}

/** An upper bound: brackets within strings count too, unless they are closed again. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c) at++;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
  }
  return deepest;
}

/** The key of frames that concern the status of an object. */
export type ObjectStatus = 'GetRemote' | 'Connect' | 'Disconnect';

const STATUS = 'SharedObject.Status.';

export const statusFrame = (name: string, status: ObjectStatus, ok: boolean, reason?: string): string =>
  JSON.stringify({
    data: {
      name,
      status: `${STATUS}${status}`,
      message: ok ? 'Success' : 'Fail',
      ...(reason && { reason }),
    },
  });

export const stateFrame = (name: string, properties: ReadonlyMap<string, JsonValue>): string =>
  objectFrame(name, { value: Object.fromEntries(properties) });

/** Kinds of events in Red5. */
const SUBTYPE = { send: 6, remove: 9, clear: 8 } as const;

/**
 * Frames in the order of the changes: new values of properties that follow each other in `value`, everything else in
 * `events`. A property that changes twice is in two frames, so that no value is skipped.
 */
export function changeFrames(name: string, changes: readonly ObjectChange[]): readonly string[] {
  const known = made.get(changes);
  if (known) return known;
  const frames: string[] = [];
  let values = new Map<string, JsonValue>();
  let events: object[] = [];
  const flush = (): void => {
    if (values.size > 0) frames.push(objectFrame(name, { value: Object.fromEntries(values) }));
    if (events.length > 0) frames.push(objectFrame(name, { events }));
    values = new Map();
    events = [];
  };
  for (const change of changes) {
    if (change.type === 'set') {
      if (events.length > 0 || values.has(change.key)) flush();
      values.set(change.key, change.value);
    } else {
      if (values.size > 0) flush();
      events.push(eventOf(change));
    }
  }
  flush();
  made.set(changes, frames);
  return frames;
}

/** All members are told the same changes, which are encoded once. */
const made = new WeakMap<readonly ObjectChange[], readonly string[]>();

const objectFrame = (name: string, content: object): string =>
  JSON.stringify({ data: { type: 'sharedobject', name, ...content } });

function eventOf(change: Exclude<ObjectChange, { type: 'set' }>): object {
  switch (change.type) {
    case 'delete':
      return { subtype: SUBTYPE.remove, attribute: change.key };
    case 'clear':
      return { subtype: SUBTYPE.clear };
    case 'send':
      return {
        subtype: SUBTYPE.send,
        method: change.method,
        value: change.args.length > 1 ? change.args : change.args[0],
      };
  }
}

export interface FrameError {
  readonly code: string;
  readonly message: string;
}

export const errorFrame = (error: FrameError, id?: string | number, name?: string): string =>
  JSON.stringify({
    ...(id !== undefined && { id }),
    data: { type: 'error', code: error.code, message: error.message, ...(name !== undefined && { name }) },
  });

export const callAnswer = (id: string | number | undefined, data: unknown): string =>
  JSON.stringify({ id, async: true, data });

export const callFailure = (id: string | number | undefined, { code, message }: FrameError): string =>
  JSON.stringify({ id, async: true, error: { code, message } });

/** To a player: what the publisher has sent. */
export const streamFrame = (method: string, data: unknown): string => JSON.stringify({ method, data });

/** `data.type` of what the gateway sends. */
const DATA_TYPES: ReadonlySet<unknown> = new Set(['sharedobject', 'error', 'status', 'text']);

/**
 * A text as clients get it: as it is, or in an envelope if it would be read as a frame of the gateway (or as such an
 * envelope). So members cannot send frames, and every text can be told from every frame.
 */
export const textFrame = (text: string): string =>
  isFrame(text) ? JSON.stringify({ data: { type: 'text', text } }) : text;

/** Whether clients may take a text for an answer, an object, an error, a status, or a message of a publisher. */
function isFrame(text: string): boolean {
  // With the byte order mark, which some parsers skip.
  const json = text.trimStart();
  if (!json.startsWith('{')) return false;
  let frame: { readonly async?: unknown; readonly method?: unknown; readonly data?: unknown };
  try {
    frame = JSON.parse(json) as typeof frame;
  } catch {
    return false;
  }
  if (frame.async === true || typeof frame.method === 'string') return true;
  if (typeof frame.data !== 'object' || frame.data === null) return false;
  const { type, status } = frame.data as { readonly type?: unknown; readonly status?: unknown };
  return DATA_TYPES.has(type) || (typeof status === 'string' && status.startsWith(STATUS));
}

/** Red5 Pro's clients wait for it; `id` is their parameter of the URL. */
export const connectedFrame = (): string =>
  JSON.stringify({ data: { type: 'status', code: 'NetConnection.Connect.Success' } });
