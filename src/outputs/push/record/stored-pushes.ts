import { z } from 'zod';
import { GatewayError, toGatewayError, type ErrorCode } from '../../../errors.ts';
import type { Logger } from '../../../observe/logger.ts';
import { inBackground } from '../../../runtime/in-background.ts';
import type { SecretBox } from '../../../store/secret-box.ts';
import type { RecordSet, Store } from '../../../store/store.ts';
import type { PushIdentity } from '../transponder-start.ts';
import type { PictureChange, StartRequest } from '../transponder-control.ts';
import {
  continuePush,
  identityOf,
  isSameRecord,
  parseRecord,
  recordOf,
  withSound,
  withStandby,
  withView,
  type ContinuedPushes,
  type PushRecord,
} from './push-record.ts';
import { wallClockMs } from '../../../runtime/wall-clock.ts';
import { SerialWork } from '../../../runtime/async.ts';
import type { TransponderView } from '../../../views/push-view.ts';

const NAMESPACE = 'pushes';

/** What continues pushes after a restart. */
export interface RestoredPushes extends ContinuedPushes {
  /** Records a push that cannot be continued. */
  abandon(request: StartRequest, continued: PushIdentity, reason: GatewayError): void;
}

export interface StoredPushesOptions {
  readonly store: Store;
  readonly box: SecretBox;
  /** Checks a request that an earlier version of the gateway may have stored. */
  readonly parse: (request: unknown) => StartRequest;
  readonly logger: Logger;
  /** Milliseconds between attempts to continue a push that cannot be started at present. */
  readonly retryMs?: number;
}

const RETRY_MS = 10_000;
/** How long it is tried to continue a push without `holdMs`, in milliseconds. */
const GIVE_UP_MS = 600_000;

/** Reasons that may be gone when the push is started again, besides the retryable ones. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['DESTINATION_NOT_RESOLVED']);

/**
 * The pushes with standby, so that they go on when the gateway is started again, after a crash as well. Read at the
 * start; each change is written in the background.
 */
export class StoredPushes {
  readonly #options: StoredPushesOptions;
  readonly #records: RecordSet<string>;
  readonly #entries = new Map<string, PushRecord>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Writes follow each other, so that a record is not deleted before it is written. */
  readonly #writes = new SerialWork();
  #closed = false;

  constructor(options: StoredPushesOptions) {
    this.#options = options;
    this.#records = options.store.records(NAMESPACE, z.string());
  }

  /** Stores a push that has started, if it is one with standby. */
  started(mediaSessionId: string, request: StartRequest, startedAt: Date): void {
    if (request.standby && !this.#entries.has(mediaSessionId))
      this.#put(mediaSessionId, recordOf(request, startedAt.toISOString()));
  }

  /** Stores what has changed: whether it is muted or plays a sound file, and since when the publisher is lost. */
  changed(view: TransponderView): void {
    this.#update(view.mediaSessionId, (record) => withView(record, view));
  }

  /** A sound file is played from now on. */
  soundOn(mediaSessionId: string, soundFile: string, loop: boolean): void {
    this.#update(mediaSessionId, (record) => withSound(record, soundFile, loop));
  }

  /** Standby was switched by hand (`undefined`: it was not), or its picture was changed. */
  standby(mediaSessionId: string, held: boolean | undefined, picture: PictureChange): void {
    this.#update(mediaSessionId, (record) => withStandby(record, held, picture));
  }

  /** The push has ended. @returns whether it goes on when the gateway is started again */
  ended({ mediaSessionId, reasonCode }: TransponderView): boolean {
    if (!this.#entries.has(mediaSessionId)) return false;
    if (reasonCode === ('SHUTTING_DOWN' satisfies ErrorCode)) return true;
    this.#remove(mediaSessionId);
    return false;
  }

  /** Waits until everything is written. */
  settled(): Promise<void> {
    return this.#writes.idle();
  }

  /** Continues the pushes that an earlier run of the gateway has left. Never fails. */
  async restore(pushes: RestoredPushes): Promise<void> {
    try {
      const stored = await this.#read();
      const restored = { date: wallClockMs(), ms: performance.now() };
      await Promise.all(stored.map(([id, record]) => this.#continue(id, record, pushes, restored)));
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the stored pushes could not be read');
    }
  }

  /** Removes what an earlier run of the gateway has left, which this one does not continue. Never fails. */
  async forget(): Promise<void> {
    try {
      const keys = await this.#keys();
      for (const key of keys) await this.#records.delete(key);
      if (keys.length > 0)
        this.#options.logger.warn(
          { pushes: keys.length },
          'stored pushes of the time before this node joined its cluster are removed',
        );
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the stored pushes could not be removed');
    }
  }

  /** Gives up what could not be continued yet; it stays stored. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#writes.idle();
  }

  async #read(): Promise<[id: string, record: PushRecord][]> {
    const found: [string, PushRecord][] = [];
    for await (const { key, value } of this.#all()) {
      const record = this.#open(key, value);
      if (record) found.push([key, record]);
    }
    return found;
  }

  async #keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#all()) keys.push(key);
    return keys;
  }

  async *#all(): AsyncGenerator<{ readonly key: string; readonly value: string }> {
    for (let after: string | undefined; ;) {
      const batch = await this.#records.list(after === undefined ? {} : { after });
      if (batch.length === 0) return;
      yield* batch;
      after = batch.at(-1)!.key;
    }
  }

  /** A record that cannot be read is removed: it will never be readable. */
  #open(key: string, sealed: string): PushRecord | undefined {
    const { box, parse, logger } = this.#options;
    try {
      const record = parseRecord(box.open(sealed, context(key)));
      parse(record.order);
      this.#entries.set(key, record);
      return record;
    } catch (error) {
      const { message } = error as Error;
      logger.error(
        // Without the message of a schema, which may show parts of a URL.
        { transponder: key, reason: error instanceof z.ZodError ? 'not a valid request' : message },
        'a stored push cannot be read and is removed',
      );
      this.#remove(key);
      return undefined;
    }
  }

  async #continue(id: string, record: PushRecord, pushes: RestoredPushes, restored: Restored): Promise<void> {
    const { parse, logger } = this.#options;
    const request = parse(record.order);
    const identity = identityOf(id, record, new Date(restored.date));
    try {
      checkHold(request, identity.awaySince!.getTime());
      await continuePush(pushes, { id, record, request, identity }, logger);
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (this.#closed || error.code === 'SHUTTING_DOWN') return;
      const isPassing = error.retryable || PASSING.has(error.code);
      const fields = { transponder: id, stream: request.streamName, code: error.code, reason: error.message };
      if (isPassing && performance.now() - restored.ms < GIVE_UP_MS) {
        logger.warn(fields, 'a stored push cannot be continued at present: will be tried again');
        this.#later(() => inBackground(this.#continue(id, record, pushes, restored)));
        return;
      }
      logger.warn(fields, 'a stored push cannot be continued and is removed');
      this.#remove(id);
      pushes.abandon(request, identity, error);
    }
  }

  #later(run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, this.#options.retryMs ?? RETRY_MS);
    this.#timers.add(timer);
  }

  #update(id: string, change: (record: PushRecord) => PushRecord): void {
    const before = this.#entries.get(id);
    if (!before) return;
    const after = change(before);
    if (!isSameRecord(before, after)) this.#put(id, after);
  }

  #put(id: string, record: PushRecord): void {
    this.#entries.set(id, record);
    const text = JSON.stringify(record);
    this.#write(async () => {
      await this.#records.put(id, this.#options.box.seal(text, context(id)));
    });
  }

  #remove(id: string): void {
    this.#entries.delete(id);
    this.#write(async () => {
      await this.#records.delete(id);
    });
  }

  #write(run: () => Promise<void>): void {
    this.#writes
      .run(run)
      .catch((error: unknown) => this.#options.logger.error({ err: error }, 'a push could not be stored'));
  }
}

/** When {@link StoredPushes.restore} was called: milliseconds since 1970, and of `performance.now()`. */
interface Restored {
  readonly date: number;
  readonly ms: number;
}

const context = (id: string): string => `${NAMESPACE}/${id}`;

/** @throws {GatewayError} PUBLISHER_LOST if the time in which the publisher might return is over */
function checkHold({ standby }: StartRequest, lostMs: number): void {
  if (standby && standby.holdMs > 0 && wallClockMs() - lostMs >= standby.holdMs)
    throw new GatewayError('PUBLISHER_LOST', 'The publisher was lost and did not return in time.');
}
