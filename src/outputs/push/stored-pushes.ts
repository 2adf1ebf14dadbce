import { z } from 'zod';
import { GatewayError, toGatewayError, type ErrorCode } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { SecretBox } from '../../store/secret-box.ts';
import type { RecordSet, Store } from '../../store/store.ts';
import type { PushIdentity } from './transponder-start.ts';
import type { PictureChange, RequestOrigin, SoundOptions, StartRequest, TransponderView } from './transponder-view.ts';
import { inBackground } from '../../runtime/in-background.ts';
import { wallClockMs } from '../../runtime/wall-clock.ts';

const NAMESPACE = 'pushes';

/** A push as it is stored: encrypted, because URLs contain stream keys. */
const ContentSchema = z.object({
  /** Checked by the schema of requests. */
  request: z.unknown(),
  startedAt: z.iso.datetime(),
  /** Since when the publisher has been lost. */
  lostAt: z.iso.datetime().exactOptional(),
  muted: z.boolean(),
  /** Standby was switched on by hand. */
  held: z.boolean().exactOptional(),
  /** A sound file that is being repeated. */
  soundFile: z.string().exactOptional(),
});

interface Entry {
  readonly request: StartRequest;
  readonly startedAt: string;
  readonly lostAt?: string;
  readonly muted: boolean;
  readonly held?: boolean;
  readonly soundFile?: string;
}

/** What continues pushes. */
export interface ContinuedPushes {
  start(request: StartRequest, origin: RequestOrigin, continued: PushIdentity): Promise<TransponderView>;
  mute(mediaSessionId: string): void;
  standby(mediaSessionId: string, on: boolean, picture: PictureChange): Promise<void>;
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
  readonly #entries = new Map<string, Entry>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Writes follow each other, so that a record is not deleted before it is written. */
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: StoredPushesOptions) {
    this.#options = options;
    this.#records = options.store.records(NAMESPACE, z.string());
  }

  /** Stores a push that has started, if it is one with standby. */
  started(mediaSessionId: string, request: StartRequest, startedAt: Date): void {
    if (!request.standby || this.#entries.has(mediaSessionId)) return;
    const { options } = request;
    this.#put(mediaSessionId, {
      request,
      startedAt: startedAt.toISOString(),
      muted: options?.action === 'mute',
      ...(options?.action === 'sound_on' && options.loop && { soundFile: options.soundFile }),
    });
  }

  /** Stores what has changed: whether it is muted, and since when the publisher is lost. */
  changed(view: TransponderView): void {
    const entry = this.#entries.get(view.mediaSessionId);
    if (!entry) return;
    const { lostAt, soundFile, ...rest } = entry;
    const since = view.publisherAway?.since;
    this.#put(view.mediaSessionId, {
      ...rest,
      muted: view.muted,
      ...(since !== undefined && { lostAt: since }),
      ...(soundFile !== undefined && view.soundEnabled && { soundFile }),
    });
  }

  /** A sound file is played from now on. One that is not repeated is not played again after a restart. */
  soundOn(mediaSessionId: string, soundFile: string, loop: boolean): void {
    const entry = this.#entries.get(mediaSessionId);
    if (!entry) return;
    const { soundFile: _, ...rest } = entry;
    this.#put(mediaSessionId, { ...rest, ...(loop && { soundFile }) });
  }

  /** Stores that a request has been changed by hand, for example its standby text. */
  update(mediaSessionId: string, change: Partial<StartRequest>): void {
    const entry = this.#entries.get(mediaSessionId);
    if (entry) this.#put(mediaSessionId, { ...entry, request: { ...entry.request, ...change } });
  }

  /** Standby was switched by hand. */
  held(mediaSessionId: string, held: boolean): void {
    const entry = this.#entries.get(mediaSessionId);
    if (entry) this.#put(mediaSessionId, { ...entry, held });
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
    return this.#writing;
  }

  /** Continues the pushes that an earlier run of the gateway has left. Never fails. */
  async restore(pushes: ContinuedPushes): Promise<void> {
    try {
      const stored = await this.#read();
      const restored = { date: wallClockMs(), ms: performance.now() };
      await Promise.all(stored.map(([id, entry]) => this.#continue(id, entry, pushes, restored)));
    } catch (error) {
      this.#options.logger.error({ err: error }, 'the stored pushes could not be read');
    }
  }

  /** Gives up what could not be continued yet; it stays stored. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#writing;
  }

  async #read(): Promise<[id: string, entry: Entry][]> {
    const found: [string, Entry][] = [];
    for (let after: string | undefined; ;) {
      const batch = await this.#records.list(after === undefined ? {} : { after });
      if (batch.length === 0) return found;
      for (const { key, value } of batch) {
        const entry = this.#open(key, value);
        if (entry) found.push([key, entry]);
      }
      after = batch.at(-1)!.key;
    }
  }

  /** A record that cannot be read is removed: it will never be readable. */
  #open(key: string, sealed: string): Entry | undefined {
    const { box, parse, logger } = this.#options;
    try {
      const content = ContentSchema.parse(JSON.parse(box.open(sealed, context(key))));
      const entry = { ...content, request: parse(content.request) };
      this.#entries.set(key, entry);
      return entry;
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

  async #continue(id: string, entry: Entry, pushes: ContinuedPushes, restored: Restored): Promise<void> {
    const { logger } = this.#options;
    const { request, muted, held } = entry;
    // A publisher that was there was lost when the gateway ended.
    const lostMs = entry.lostAt === undefined ? restored.date : Date.parse(entry.lostAt);
    const continued = {
      mediaSessionId: id,
      startedAt: new Date(entry.startedAt),
      awaySince: new Date(lostMs),
    };
    try {
      checkHold(request, lostMs);
      await pushes.start(restartOf(entry), {}, continued);
      if (muted) pushes.mute(id);
      if (held) await pushes.standby(id, true, {});
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (this.#closed || error.code === 'SHUTTING_DOWN') return;
      const isPassing = error.retryable || PASSING.has(error.code);
      const fields = { transponder: id, stream: request.streamName, code: error.code, reason: error.message };
      if (isPassing && performance.now() - restored.ms < GIVE_UP_MS) {
        logger.warn(fields, 'a stored push cannot be continued at present: will be tried again');
        this.#later(() => inBackground(this.#continue(id, entry, pushes, restored)));
        return;
      }
      logger.warn(fields, 'a stored push cannot be continued and is removed');
      this.#remove(id);
      pushes.abandon(request, continued, error);
    }
  }

  #later(run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, this.#options.retryMs ?? RETRY_MS);
    this.#timers.add(timer);
  }

  #put(id: string, entry: Entry): void {
    const before = this.#entries.get(id);
    this.#entries.set(id, entry);
    const text = JSON.stringify(entry);
    if (before && JSON.stringify(before) === text) return;
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
    this.#writing = this.#writing
      .then(run)
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

/** The request with which a push begins in standby, as it was left. */
function restartOf({ request, muted, soundFile }: Entry): StartRequest {
  const { options: _, standby, ...rest } = request;
  const options: SoundOptions | { action: 'mute' } | undefined =
    soundFile !== undefined ? { action: 'sound_on', soundFile, loop: true } : muted ? { action: 'mute' } : undefined;
  return {
    ...rest,
    ...(standby && { standby: { ...standby, startWithStandby: true } }),
    ...(options && { options }),
  };
}
