import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { RoomPayload } from '../../rooms/doors/room-api.ts';
import { RoomStreamSchema, SendDataSchema, type RoomStream, type ServerMessages } from '../messages.ts';
import { asRoomPayload } from './node-messages.ts';
import { RoomView } from './room-view.ts';

type RequestId = string | number;

export interface RoutedRoomsOptions {
  /** Sends a message to the home node of the page. It is dropped if there is none. */
  readonly toHome: (message: string, argument: unknown) => void;
  readonly toPage: <Name extends keyof ServerMessages>(message: Name, ...data: ServerMessages[Name]) => void;
  /** A room could not be entered again, and the SDK has no event for that: ends the connection of the page. */
  readonly end: (info: string) => void;
}

/** A request of the page that is not answered yet. `room`: it joins this room, which it was not in. */
interface Pending {
  readonly room?: string | undefined;
}

/** Requests that may wait for an answer; the nodes accept fewer. */
const MAX_PENDING = 512;
/** Rooms of one page; the nodes accept fewer. */
const MAX_ROOMS = 64;
/** Milliseconds between two attempts to enter a room again: the others may not know yet that the old node is lost. */
const RETURN_MS = 1000;
const RETURN_ATTEMPTS = 20;

const Command = z.object({ command: z.enum(['join', 'leave']), options: z.object({ name: z.string() }) });
const Request = z.object({ id: z.union([z.string().max(128), z.number()]), room: z.string(), action: z.string() });
const LOST = 'The node that had the request is gone. Try again.';

/**
 * The rooms of one page at a manager. They are on the home node of the page; when that is lost, the page is brought back
 * into them on the next one.
 */
export class RoutedRooms {
  readonly #options: RoutedRoomsOptions;
  /** Of the Room API, which the page has joined or is joining. */
  readonly #rooms = new Map<string, RoomView>();
  /** Rooms that the page is being brought back into, with the number of attempts. */
  readonly #returning = new Map<string, number>();
  /** The own requests to join, by `operationId`. */
  readonly #ownJoins = new Map<RequestId, string>();
  /** Of the browser library, which enters a room again by itself. */
  readonly #libraryRooms = new Set<string>();
  readonly #pendingData = new Map<RequestId, Pending>();
  readonly #pendingRequests = new Map<RequestId, Pending>();
  /** Live streams of the page that belong to a room, by their name. */
  readonly #streams = new Map<string, { readonly room: string; readonly node: string }>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: RoutedRoomsOptions) {
    this.#options = options;
  }

  /** Whether the page needs a home node although it sends nothing. */
  get needsHome(): boolean {
    return this.#rooms.size > 0;
  }

  /** The page sends a message to its home node. */
  sent(message: string, argument: unknown): void {
    if (message === 'sendData') this.#sentData(argument);
    else if (message === 'room') this.#sentRequest(argument);
  }

  /**
   * The home node sends a message to the page.
   *
   * @returns whether it is for the page
   */
  received(message: string, argument: unknown): boolean {
    const { operationId, id, payload, status, error, info, room, type } = (argument ?? {}) as Record<string, unknown>;
    switch (message) {
      case 'DataStatusEvent': {
        const own = this.#ownJoins.get(operationId as RequestId);
        if (own !== undefined) {
          this.#ownJoins.delete(operationId as RequestId);
          this.#returned(own, status === 'ACCEPTED' ? undefined : String(info));
          return false;
        }
        const joined = this.#pendingData.get(operationId as RequestId)?.room;
        this.#pendingData.delete(operationId as RequestId);
        if (joined !== undefined && status !== 'ACCEPTED') this.#rooms.delete(joined);
        return true;
      }
      case 'OnDataEvent':
        return this.#receivedPayload(asRoomPayload(payload));
      case 'roomReply': {
        const joined = this.#pendingRequests.get(id as RequestId)?.room;
        this.#pendingRequests.delete(id as RequestId);
        if (joined !== undefined && error === undefined) this.#libraryRooms.add(joined);
        return true;
      }
      case 'roomEvent':
        if (type === 'closed') this.#libraryRooms.delete(String(room));
        return true;
      default:
        return true;
    }
  }

  /** A node says that a stream of the page is live, or has ended. */
  reported(argument: unknown, node: string, home: string | undefined): void {
    const parsed = RoomStreamSchema.safeParse(argument);
    if (!parsed.success) return;
    const { room, stream, status } = parsed.data;
    if (status === 'started') this.#streams.set(stream, { room, node });
    else if (this.#streams.get(stream)?.node !== node) return;
    else this.#streams.delete(stream);
    if (node !== home) this.#tellHome(parsed.data);
  }

  /** A node is lost, and with it the streams that the page has published there. */
  nodeLost(node: string): void {
    for (const [stream, { room, node: its }] of this.#streams) {
      if (its !== node) continue;
      this.#streams.delete(stream);
      this.#tellHome({ room, stream, status: 'failed' });
    }
  }

  /** The home node is lost, or there is none: what the page has asked is not answered any more. */
  homeLost(): void {
    const { toPage } = this.#options;
    for (const [operationId, { room }] of this.#pendingData) {
      if (room !== undefined) this.#rooms.delete(room);
      toPage('DataStatusEvent', { operationId, status: 'FAILED', info: LOST });
    }
    this.#pendingData.clear();
    this.#ownJoins.clear();
    for (const id of this.#pendingRequests.keys())
      toPage('roomReply', { id, error: { code: 'NODE_LOST', message: LOST } });
    this.#pendingRequests.clear();
    const rooms = [...this.#libraryRooms];
    this.#libraryRooms.clear();
    for (const room of rooms) toPage('roomEvent', { room, type: 'interrupted' });
    for (const room of this.#rooms.keys()) this.#returning.set(room, 0);
  }

  /** Another node has accepted the page. */
  homeFound(home: string): void {
    for (const [stream, { room, node }] of this.#streams)
      if (node !== home) this.#tellHome({ room, stream, status: 'started' });
    for (const room of this.#returning.keys()) this.#join(room);
  }

  /** Idempotent. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #sentData(argument: unknown): void {
    const data = SendDataSchema.safeParse(argument);
    if (!data.success) return;
    const { operationId, payload } = data.data;
    const { command, options: { name } = { name: '' } } = Command.safeParse(payload).data ?? {};
    const joins = command === 'join' && !this.#rooms.has(name) && this.#rooms.size < MAX_ROOMS;
    if (joins) this.#rooms.set(name, new RoomView(name));
    if (command === 'leave') {
      this.#rooms.delete(name);
      this.#returning.delete(name);
    }
    remember(this.#pendingData, operationId, { room: joins ? name : undefined });
  }

  #sentRequest(argument: unknown): void {
    const request = Request.safeParse(argument);
    if (!request.success) return;
    const { id, room, action } = request.data;
    if (action === 'leave') this.#libraryRooms.delete(room);
    const joins = action === 'join' && this.#libraryRooms.size < MAX_ROOMS;
    remember(this.#pendingRequests, id, { room: joins ? room : undefined });
  }

  #receivedPayload(payload: RoomPayload | undefined): boolean {
    const view = this.#rooms.get(payload?.roomName ?? '');
    if (!payload || !view) return true;
    if (payload.name === 'STATE' && this.#returning.has(payload.roomName)) {
      for (const event of view.return(payload.info)) this.#options.toPage('OnDataEvent', { payload: event });
      return false;
    }
    view.apply(payload);
    return true;
  }

  #join(room: string): void {
    const operationId = randomUUID();
    this.#ownJoins.set(operationId, room);
    this.#options.toHome('sendData', { operationId, payload: { command: 'join', options: { name: room } } });
  }

  /** @param failure why the room could not be entered again */
  #returned(room: string, failure: string | undefined): void {
    const attempts = (this.#returning.get(room) ?? 0) + 1;
    if (failure === undefined) return void this.#returning.delete(room);
    if (!this.#returning.has(room)) return;
    if (attempts >= RETURN_ATTEMPTS) return this.#options.end(failure);
    this.#returning.set(room, attempts);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      // The home node may have changed meanwhile.
      if (this.#returning.get(room) === attempts) this.#join(room);
    }, RETURN_MS);
    this.#timers.add(timer);
  }

  #tellHome(stream: RoomStream): void {
    this.#options.toHome('roomStream', stream);
  }
}

function remember(pending: Map<RequestId, Pending>, id: RequestId, request: Pending): void {
  pending.set(id, request);
  if (pending.size > MAX_PENDING) pending.delete(pending.keys().next().value!);
}
