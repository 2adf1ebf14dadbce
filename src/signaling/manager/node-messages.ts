import { z } from 'zod';
import type { RoomPayload } from '../../rooms/doors/room-api.ts';
import { EnvelopeSchema, RoomStreamSchema } from '../messages.ts';

/** What a manager reads of the messages of nodes. Everything else is passed on to the page as it is. */

const id = z.union([z.string().max(128), z.number()]);
const text = z.string().max(64 * 1024);

const ARGUMENTS: Readonly<Record<string, z.ZodType>> = {
  getUserData: z.looseObject({ authToken: text.nullish() }),
  fail: z.looseObject({ info: text.nullish() }),
  DataStatusEvent: z.looseObject({ operationId: id, status: text, info: text.nullish() }),
  OnDataEvent: z.looseObject({ operationId: id.nullish(), payload: z.unknown() }),
  roomReply: z.looseObject({ id, error: z.looseObject({}).nullish() }),
  roomEvent: z.looseObject({ room: text, type: text }),
  roomStream: RoomStreamSchema,
  notifyStreamStatusEvent: z.looseObject({ mediaSessionId: text, status: text }),
};

export interface NodeMessage {
  readonly message: string;
  readonly data: readonly unknown[];
}

/** @returns undefined for what no node sends */
export function parseNodeMessage(raw: string): NodeMessage | undefined {
  let json: unknown;
  try {
    json = JSON.parse(raw);
  } catch {
    return undefined;
  }
  const envelope = EnvelopeSchema.safeParse(json);
  if (!envelope.success) return undefined;
  const { message, data } = envelope.data;
  const schema = Object.hasOwn(ARGUMENTS, message) ? ARGUMENTS[message] : undefined;
  return schema && !schema.safeParse(data[0]).success ? undefined : { message, data };
}

const stream = z.object({ login: text, name: text });
const RoomPayloadSchema = z.discriminatedUnion('name', [
  z.object({ roomName: text, name: z.literal('STATE'), info: z.array(z.union([text, stream])).max(100_000) }),
  z.object({ roomName: text, name: z.enum(['JOINED', 'LEFT']), info: text }),
  z.object({ roomName: text, name: z.enum(['PUBLISHED', 'UNPUBLISHED', 'FAILED']), info: z.looseObject(stream.shape) }),
  z.object({ roomName: text, name: z.literal('MESSAGE'), info: z.unknown() }),
]);

/** @returns undefined for data of an application, which may look like an event of a room */
export function asRoomPayload(payload: unknown): RoomPayload | undefined {
  const parsed = RoomPayloadSchema.safeParse(payload);
  return parsed.success ? (parsed.data as RoomPayload) : undefined;
}
