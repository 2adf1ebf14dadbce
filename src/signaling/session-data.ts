import type { z } from 'zod';
import { toGatewayError } from '../errors.ts';
import { ROOM_APP } from '../rooms/doors/room-api.ts';
import { SendDataSchema } from './messages.ts';
import type { SessionRooms } from './session-rooms.ts';
import type { WcsSession } from './wcs-session.ts';

type SentData = z.output<typeof SendDataSchema>;

/** Passes the data that pages send on to an application server. */
export interface DataReceiver {
  /** @throws {GatewayError} if it is not accepted */
  sendData(client: { readonly sessionId: string; readonly appKey: string }, data: SentData): Promise<void>;
}

/** Data of one client that is being passed on. */
const MAX_PASSING = 16;

/**
 * What one page sends with `sendData`. Each is answered by a receipt; one with FAILED makes the page show the error.
 */
export class SessionData {
  readonly #session: WcsSession;
  #passing = 0;

  constructor(session: WcsSession) {
    this.#session = session;
  }

  receive(argument: unknown): void {
    const data = SendDataSchema.safeParse(argument);
    if (!data.success) return this.#session.logger.debug('malformed data ignored');
    const { appKey, context } = this.#session;
    const isRoom = appKey === ROOM_APP;
    const { rooms } = this.#session;
    if (rooms && isRoom) return void this.#command(rooms, data.data);
    if (context.dataReceiver && !isRoom) return void this.#passOn(context.dataReceiver, data.data);
    this.#answer(
      data.data,
      isRoom
        ? 'Rooms are off: the gateway has the setting rooms=false.'
        : 'sendData is not available: no application server is set (wcs_hooks_url).',
    );
  }

  async #command(rooms: SessionRooms, data: SentData): Promise<void> {
    try {
      await rooms.command(data.payload);
      this.#answer(data);
    } catch (error) {
      const { code, message } = toGatewayError(error);
      if (code === 'INTERNAL') this.#session.logger.error({ err: error }, 'a command of the Room API failed');
      this.#answer(data, message);
    }
  }

  async #passOn(receiver: DataReceiver, data: SentData): Promise<void> {
    if (this.#passing >= MAX_PASSING) return this.#answer(data, 'Too much data at once');
    this.#passing++;
    try {
      await receiver.sendData({ sessionId: this.#session.id, appKey: this.#session.appKey }, data);
      this.#answer(data);
    } catch (error) {
      this.#answer(data, toGatewayError(error).message);
    } finally {
      this.#passing--;
    }
  }

  /** @param failure why it is not accepted */
  #answer({ operationId }: SentData, failure?: string): void {
    const answer =
      failure === undefined ? { status: 'ACCEPTED' as const } : { status: 'FAILED' as const, info: failure };
    this.#session.send('DataStatusEvent', { operationId, ...answer });
  }
}
