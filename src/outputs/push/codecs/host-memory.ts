import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Destination } from '../../../net/destination.ts';
import type { Logger } from '../../../observe/logger.ts';
import { wallClockMs } from '../../../runtime/wall-clock.ts';
import type { Store } from '../../../store/store.ts';
import type { HostKnowledge } from './codec-choice.ts';

/** Texts by key, which expire. */
export interface HostNotes {
  read(key: string): Promise<string | undefined>;
  write(key: string, text: string, ttlMs: number): Promise<void>;
}

export interface HostMemoryOptions {
  readonly notes: HostNotes;
  readonly logger: Logger;
}

const TTL_MS = 7 * 24 * 3_600_000;
const NAMESPACE = 'rtmp-hosts';
const NOTHING: HostKnowledge = {};

const name = z.string().max(8);
const KnowledgeSchema = z.object({
  failsOnExtras: z.boolean().optional(),
  refused: z.array(name).max(16).optional(),
  announced: z.array(name).max(16).optional(),
}) satisfies z.ZodType<HostKnowledge>;

/** Notes in the durable state of this gateway. */
export function notesIn(store: Store): HostNotes {
  const records = store.records(NAMESPACE, z.string());
  return {
    read: async (key) => (await records.get(key))?.value,
    write: async (key, text, ttlMs) => {
      await records.put(key, text, { expiresAt: new Date(wallClockMs() + ttlMs) });
    },
  };
}

type Place = Pick<Destination, 'host' | 'port'>;

/** What RTMP servers were seen to take or to fail on, for seven days. A store that fails is as one that knows nothing. */
export class HostMemory {
  readonly #notes: HostNotes;
  readonly #logger: Logger;

  constructor({ notes, logger }: HostMemoryOptions) {
    this.#notes = notes;
    this.#logger = logger;
  }

  async recall(place: Place): Promise<HostKnowledge> {
    try {
      const text = await this.#notes.read(keyOf(place));
      if (text === undefined) return NOTHING;
      return KnowledgeSchema.catch({}).parse(parsed(text));
    } catch (error) {
      this.#logger.warn({ err: error }, 'what is known of an RTMP server cannot be read');
      return NOTHING;
    }
  }

  /** Adds to what is known, for seven days from now. Never fails. */
  async learn(place: Place, change: (before: HostKnowledge) => HostKnowledge): Promise<void> {
    const before = await this.recall(place);
    try {
      await this.#notes.write(keyOf(place), JSON.stringify(change(before)), TTL_MS);
    } catch (error) {
      this.#logger.warn({ err: error }, 'what is known of an RTMP server cannot be stored');
    }
  }
}

/** The names of hosts may be longer than keys. */
const keyOf = ({ host, port }: Place): string =>
  createHash('sha256').update(`${host.toLowerCase()}:${port}`).digest('hex');

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
