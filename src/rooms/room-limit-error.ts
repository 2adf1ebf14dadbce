import type { SettingKey } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';

/** A limit of a room refuses something. It is counted where the client is. */
export class RoomLimitError extends GatewayError {
  /** The setting. */
  readonly limit: SettingKey;

  constructor(limit: SettingKey, message: string) {
    super('LIMIT_REACHED', message);
    this.limit = limit;
  }
}
