import { z } from 'zod';
import type { Logger } from '../../observe/logger.ts';
import type { SecretBox } from '../../store/secret-box.ts';
import type { RecordSet, Store } from '../../store/store.ts';
import { LegSchema, TransponderSchema, type TransponderView } from '../../views/push-view.ts';
import { wallClockDate, wallClockMs } from '../../runtime/wall-clock.ts';
import { SerialWork } from '../../runtime/async.ts';

const NAMESPACE = 'ended-transponders';

/** What of a view is secret: on the platforms the published name is the stream key. */
const SecretsSchema = z.object({ rtmpUrl: z.string(), streamName: z.string() });

const RecordSchema = z.object({
  /** Named field by field, so that a field that is added to the view is not stored by accident. */
  view: TransponderSchema.pick({
    ...{ mediaSessionId: true, width: true, height: true, muted: true, soundEnabled: true, options: true },
    ...{ reason: true, reasonCode: true, sourceStreamName: true, attempt: true, startedAt: true, bytesSent: true },
    ...{ bitrate: true, fps: true, framesDropped: true, bufferMs: true, destination: true, destinationId: true },
    ...{ groupId: true, backupMode: true },
  }).extend({
    status: z.literal('ended'),
    endedAt: z.string(),
    legs: z.array(LegSchema).default([]),
  }),
  /** {@link SecretsSchema} in JSON, encrypted. */
  secrets: z.string(),
});
type HistoryRecord = z.output<typeof RecordSchema>;

export interface TransponderHistoryOptions {
  readonly store: Store;
  readonly box: SecretBox;
  /** Most transponders that are kept (`ended_transponders_kept`). */
  readonly kept: number;
  readonly logger: Logger;
}

interface Entry {
  readonly key: string;
  readonly view: TransponderView;
}

/**
 * The transponders that have ended, with their reasons. Read from memory; each is written to the store in the
 * background.
 */
export class TransponderHistory {
  readonly #options: TransponderHistoryOptions;
  readonly #records: RecordSet<HistoryRecord>;
  /** The oldest first. */
  readonly #entries: Entry[];
  /** Writes follow each other, so that a record is not deleted before it is written. */
  readonly #writes = new SerialWork();
  #lastKeyMs = 0;

  private constructor(options: TransponderHistoryOptions, records: RecordSet<HistoryRecord>, entries: Entry[]) {
    this.#options = options;
    this.#records = records;
    this.#entries = entries;
  }

  /** Reads what earlier runs of the gateway have left. */
  static async create(options: TransponderHistoryOptions): Promise<TransponderHistory> {
    const { store, kept } = options;
    const records = store.records(NAMESPACE, RecordSchema);
    const entries = kept === 0 ? [] : await readEntries(records, options);
    const history = new TransponderHistory(options, records, entries);
    history.#removeOlderThan(entries[0]?.key);
    return history;
  }

  add(view: TransponderView): void {
    const key = this.#nextKey(view.mediaSessionId);
    this.#entries.push({ key, view });
    this.#write(async () => {
      await this.#records.put(key, toRecord(view, key, this.#options.box));
    });
    while (this.#entries.length > this.#options.kept) {
      const oldest = this.#entries.shift()!;
      this.#write(async () => {
        await this.#records.delete(oldest.key);
      });
    }
  }

  /** The latest first. */
  list(): TransponderView[] {
    return this.#entries.map(({ view }) => view).reverse();
  }

  /** Waits until everything is written. */
  close(): Promise<void> {
    return this.#writes.idle();
  }

  /** Keys in the order in which the transponders ended, even within a millisecond and when the clock is set back. */
  #nextKey(id: string): string {
    const lastMs = Math.max(this.#lastKeyMs, keyMs(this.#entries.at(-1)?.key));
    this.#lastKeyMs = Math.max(wallClockMs(), lastMs + 1);
    return `${String(this.#lastKeyMs).padStart(KEY_DIGITS, '0')}-${id}`;
  }

  /**
   * Removes what is no longer kept, for example because `ended_transponders_kept` was lowered. Without a key:
   * everything.
   */
  #removeOlderThan(oldestKept: string | undefined): void {
    this.#write(async () => {
      for (;;) {
        const batch = await this.#records.list({ limit: 100 });
        const old = batch.filter(({ key }) => oldestKept === undefined || key < oldestKept);
        for (const { key } of old) await this.#records.delete(key);
        if (old.length === 0) return;
      }
    });
  }

  #write(run: () => Promise<void>): void {
    this.#writes
      .run(run)
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error }, 'the history of ended transponders could not be stored'),
      );
  }
}

/** Enough for milliseconds since 1970 until the year 33658. */
const KEY_DIGITS = 15;
const keyMs = (key: string | undefined): number => (key ? Number(key.slice(0, KEY_DIGITS)) : 0);

async function readEntries(
  records: RecordSet<HistoryRecord>,
  { box, kept, logger }: TransponderHistoryOptions,
): Promise<Entry[]> {
  const latest = await records.list({ descending: true, limit: kept });
  return latest.reverse().map(({ key, value }) => ({ key, view: toView(value, key, box, logger) }));
}

function toRecord({ rtmpUrl, streamName, ...view }: TransponderView, key: string, box: SecretBox): HistoryRecord {
  return RecordSchema.parse({
    view: { ...view, endedAt: view.endedAt ?? wallClockDate().toISOString() },
    secrets: box.seal(JSON.stringify({ rtmpUrl, streamName }), context(key)),
  });
}

function toView({ view, secrets }: HistoryRecord, key: string, box: SecretBox, logger: Logger): TransponderView {
  try {
    return { ...view, ...SecretsSchema.parse(JSON.parse(box.open(secrets, context(key)))) };
  } catch (error) {
    logger.warn(
      { transponder: view.mediaSessionId, reason: (error as Error).message },
      'the URL of an ended transponder cannot be decrypted and is shown without its secrets',
    );
    return { ...view, rtmpUrl: view.destination, streamName: '' };
  }
}

const context = (key: string): string => `${NAMESPACE}/${key}`;
