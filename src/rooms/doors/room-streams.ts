import type { RoomMember } from '../room-client.ts';

/** The streams that one client publishes in rooms: each room that it is in is told of them. */
export class RoomStreams {
  readonly #onError: (error: unknown) => void;
  /** By the name of the stream: the room that it belongs to. */
  readonly #streams = new Map<string, string>();
  readonly #members = new Map<string, RoomMember>();

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** The client is in a room. Its streams may have started earlier. */
  joined(room: string, member: RoomMember): void {
    this.#members.set(room, member);
    for (const [stream, itsRoom] of this.#streams) if (itsRoom === room) member.publish(stream).catch(this.#onError);
  }

  left(room: string): void {
    this.#members.delete(room);
  }

  started(room: string, stream: string): void {
    this.#streams.set(stream, room);
    this.#members.get(room)?.publish(stream).catch(this.#onError);
  }

  ended(stream: string, failed: boolean): void {
    const room = this.#streams.get(stream);
    if (room === undefined) return;
    this.#streams.delete(stream);
    this.#members.get(room)?.unpublish(stream, failed).catch(this.#onError);
  }
}
