import { z } from 'zod';
import { GatewayError } from '../../../errors.ts';
import type { SecretBox } from '../../../store/secret-box.ts';
import type { OpenRecords, StoredRecord } from '../../../store/store.ts';
import { wallClockDate } from '../../../runtime/wall-clock.ts';
import type { StartRequest } from '../transponder-control.ts';
import { NamedRecords } from './named-records.ts';

const NAMESPACE = 'saved-destinations';

const DestinationRecordSchema = z.object({
  name: z.string(),
  /** Names of streams, exact or with `*`, whose own credentials may use the destination. */
  allowStreams: z.array(z.string()).readonly(),
  createdAt: z.string(),
  changedAt: z.string(),
  /** The body of `/push/startup` without the stream, in JSON, encrypted. */
  order: z.string(),
});
type DestinationRecord = z.output<typeof DestinationRecordSchema>;

const GroupRecordSchema = z.object({
  name: z.string(),
  destinationIds: z.array(z.string()).readonly(),
  /** Names of streams, exact or with `*`, that go live whenever they are published. */
  onPublish: z.array(z.string()).readonly(),
  createdAt: z.string(),
  changedAt: z.string(),
});
type GroupRecord = z.output<typeof GroupRecordSchema>;

/** The body of `/push/startup` without the stream: it contains the stream key. */
export type SavedOrder = Readonly<Record<string, unknown>>;

export interface SavedDestination extends Omit<DestinationRecord, 'order'> {
  readonly id: string;
  /** Undefined: encrypted with another key, or damaged. */
  readonly order: SavedOrder | undefined;
}
export interface DestinationGroup extends GroupRecord {
  readonly id: string;
}

export type NewDestination = Pick<SavedDestination, 'name' | 'allowStreams'> & { readonly order: SavedOrder };
export type NewGroup = Pick<DestinationGroup, 'name' | 'destinationIds' | 'onPublish'>;

/** Reads a saved order as a push. @throws {GatewayError} INVALID_REQUEST */
export type ParseOrder = (order: SavedOrder) => Omit<StartRequest, 'streamName'>;

export interface SavedDestinationsOptions {
  readonly openRecords: OpenRecords;
  readonly box: Pick<SecretBox, 'seal' | 'open'>;
  readonly limit: number;
}

/** The destinations that operators have saved, and groups of them. Stream keys are encrypted and never leave it in views. */
export class SavedDestinations {
  readonly #box: Pick<SecretBox, 'seal' | 'open'>;
  readonly #destinations: NamedRecords<DestinationRecord>;
  readonly #groups: NamedRecords<GroupRecord>;

  constructor({ openRecords, box, limit }: SavedDestinationsOptions) {
    this.#box = box;
    this.#destinations = new NamedRecords({
      records: openRecords(NAMESPACE, DestinationRecordSchema),
      ...{ noun: 'destination', notFound: 'SAVED_DESTINATION_NOT_FOUND', exists: 'SAVED_DESTINATION_EXISTS', limit },
    });
    this.#groups = new NamedRecords({
      records: openRecords('destination-groups', GroupRecordSchema),
      ...{ noun: 'destination group', notFound: 'DESTINATION_GROUP_NOT_FOUND', exists: 'DESTINATION_GROUP_EXISTS' },
      limit,
    });
  }

  async list(): Promise<SavedDestination[]> {
    return (await this.#destinations.list()).map((record) => this.#opened(record));
  }

  async get(id: string): Promise<SavedDestination> {
    return this.#opened(await this.#destinations.get(id));
  }

  async create({ name, allowStreams, order }: NewDestination, id?: string): Promise<SavedDestination> {
    const record = await this.#destinations.create(name, id, (key) => ({
      ...{ name, allowStreams, ...createdNow() },
      order: this.#sealed(key, order),
    }));
    return this.#opened(record);
  }

  /** @param change gets the destination as it is; what it throws is thrown */
  async change(id: string, change: (before: SavedDestination) => NewDestination): Promise<SavedDestination> {
    const record = await this.#destinations.change(id, (value) => {
      const { name, allowStreams, order } = change(this.#opened({ key: id, value }));
      return { ...value, name, allowStreams, changedAt: now(), order: this.#sealed(id, order) };
    });
    return this.#opened(record);
  }

  /** @throws {GatewayError} SAVED_DESTINATION_IN_USE for one that is in a group */
  async delete(id: string): Promise<void> {
    const using = (await this.groups()).filter(({ destinationIds }) => destinationIds.includes(id));
    if (using.length > 0)
      throw new GatewayError(
        'SAVED_DESTINATION_IN_USE',
        `The destination is in the groups ${using.map((group) => JSON.stringify(group.name)).join(', ')}. Remove it there first.`,
      );
    await this.#destinations.delete(id);
  }

  async groups(): Promise<DestinationGroup[]> {
    return (await this.#groups.list()).map(groupOf);
  }

  async group(id: string): Promise<DestinationGroup> {
    return groupOf(await this.#groups.get(id));
  }

  async createGroup(group: NewGroup, id?: string): Promise<DestinationGroup> {
    await this.#checkAll(group);
    return groupOf(await this.#groups.create(group.name, id, () => ({ ...group, ...createdNow() })));
  }

  async changeGroup(id: string, change: Partial<NewGroup>): Promise<DestinationGroup> {
    await this.#checkAll(change);
    return groupOf(await this.#groups.change(id, (before) => ({ ...before, ...change, changedAt: now() })));
  }

  deleteGroup(id: string): Promise<void> {
    return this.#groups.delete(id);
  }

  /** @throws {GatewayError} SAVED_DESTINATION_NOT_FOUND */
  async #checkAll({ destinationIds = [] }: Partial<NewGroup>): Promise<void> {
    await Promise.all(destinationIds.map((id) => this.#destinations.get(id)));
  }

  #sealed(id: string, order: SavedOrder): string {
    return this.#box.seal(JSON.stringify(order), context(id));
  }

  #opened({ key: id, value: { order, ...rest } }: Pick<StoredRecord<DestinationRecord>, 'key' | 'value'>) {
    return { id, ...rest, order: this.#open(id, order) } satisfies SavedDestination;
  }

  #open(id: string, sealed: string): SavedOrder | undefined {
    try {
      return z.record(z.string(), z.unknown()).parse(JSON.parse(this.#box.open(sealed, context(id))));
    } catch {
      return undefined;
    }
  }
}

const groupOf = ({ key: id, value }: StoredRecord<GroupRecord>): DestinationGroup => ({ id, ...value });
const context = (id: string): string => `${NAMESPACE}/${id}`;
const now = (): string => wallClockDate().toISOString();
const createdNow = () => {
  const at = now();
  return { createdAt: at, changedAt: at };
};
