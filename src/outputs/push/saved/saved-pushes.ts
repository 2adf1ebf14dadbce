import { GatewayError, toGatewayError } from '../../../errors.ts';
import type { Logger } from '../../../observe/logger.ts';
import { inBackground } from '../../../runtime/in-background.ts';
import type { LiveStream } from '../../../streams/live-stream.ts';
import type { StreamRegistry } from '../../../streams/stream-registry.ts';
import { verdict } from '../platforms/verdict.ts';
import { listTransponders } from '../transponder-control.ts';
import type { RequestOrigin, StartRequest, TransponderControl } from '../transponder-control.ts';
import type { ParseOrder, SavedDestination, SavedDestinations } from './saved-destinations.ts';
import type { TransponderView, Verdict } from '../../../views/push-view.ts';

/** What a request changes of what is saved. */
export type OrderChange = Readonly<Record<string, unknown>>;

/** One destination of a group, for one stream. */
export interface GroupMember {
  readonly destinationId: string;
  readonly name: string;
  /** Why it cannot be started, or how. */
  readonly request: StartRequest | GatewayError;
}

export interface MemberCheck extends GroupMember {
  readonly verdicts: readonly Verdict[];
}
export interface MemberStart extends GroupMember {
  /** Empty without a check. */
  readonly verdicts: readonly Verdict[];
  /** The push, whether it was started now or runs already. */
  readonly push: TransponderView | GatewayError;
  readonly wasRunning: boolean;
}

/** Decides whether a member may be used. @throws {GatewayError} */
export type AuthorizeMember = (destination: SavedDestination, request: StartRequest) => Promise<void>;

export interface SavedPushesOptions {
  readonly saved: SavedDestinations;
  readonly parse: ParseOrder;
  readonly control: TransponderControl;
}

/** Checks at the same time: the gateway as a whole allows some more. */
const CHECKS_AT_ONCE = 3;

/** Pushes to saved destinations and to groups of them. */
export class SavedPushes {
  readonly #options: SavedPushesOptions;

  constructor(options: SavedPushesOptions) {
    this.#options = options;
  }

  /** @throws {GatewayError} SAVED_DESTINATION_NOT_FOUND, INVALID_REQUEST */
  async find(streamName: string, id: string, change: OrderChange = {}) {
    const destination = await this.#options.saved.get(id);
    return { destination, request: this.#requestOf(streamName, destination, change) };
  }

  /** @throws {GatewayError} DESTINATION_GROUP_NOT_FOUND */
  async members(
    streamName: string,
    groupId: string,
    authorize: AuthorizeMember = async () => undefined,
    change: OrderChange = {},
  ): Promise<GroupMember[]> {
    const { destinationIds } = await this.#options.saved.group(groupId);
    return Promise.all(
      destinationIds.map(async (destinationId) => {
        let name = destinationId;
        try {
          const destination = await this.#options.saved.get(destinationId);
          name = destination.name;
          const request = { ...this.#requestOf(streamName, destination, change), groupId };
          await authorize(destination, request);
          return { destinationId, name, request };
        } catch (error) {
          return { destinationId, name, request: toGatewayError(error) };
        }
      }),
    );
  }

  /** Checks all members side by side. Those that run already are not checked. */
  async check(members: readonly GroupMember[], signal: AbortSignal): Promise<MemberCheck[]> {
    const waiting = [...members.entries()];
    const checked: MemberCheck[] = [];
    const work = async (): Promise<void> => {
      for (let next; (next = waiting.shift());) {
        const [index, member] = next;
        checked[index] = { ...member, verdicts: await this.#verdicts(member, signal) };
      }
    };
    await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, work));
    return checked;
  }

  /** Starts all members whose check found no error. One that fails does not keep the others from starting. */
  async start(members: readonly (GroupMember | MemberCheck)[], origin: RequestOrigin = {}): Promise<MemberStart[]> {
    return Promise.all(
      members.map(async (member) => {
        const verdicts = 'verdicts' in member ? member.verdicts : [];
        const running = this.#running(member);
        if (running) return { ...member, verdicts, push: running, wasRunning: true };
        const push = await this.#startOne(member, verdicts, origin).catch((error: unknown) => toGatewayError(error));
        return { ...member, verdicts, push, wasRunning: false };
      }),
    );
  }

  async #startOne({ request }: GroupMember, verdicts: readonly Verdict[], origin: RequestOrigin) {
    if (request instanceof GatewayError) throw request;
    const broken = verdicts.find(({ level }) => level === 'error');
    if (broken)
      throw new GatewayError(
        'CHECK_FAILED',
        `The check found an error: ${broken.check}: ${broken.measured}. ${broken.remedy}`.trim(),
      );
    return this.#options.control.start(request, origin);
  }

  async #verdicts(member: GroupMember, signal: AbortSignal): Promise<Verdict[]> {
    const { request } = member;
    if (request instanceof GatewayError) return [verdict('destination', 'error', request.message)];
    if (this.#running(member)) return [verdict('destination', 'ok', 'the push runs already')];
    try {
      return await this.#options.control.check(request, signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const { code, message } = toGatewayError(thrown);
      // That a check was not possible says nothing about the destination.
      return [verdict('check', code === 'LIMIT_REACHED' ? 'warning' : 'error', message)];
    }
  }

  #running({ destinationId, request }: GroupMember): TransponderView | undefined {
    if (request instanceof GatewayError) return undefined;
    return listTransponders(this.#options.control).find(
      (push) => push.sourceStreamName === request.streamName && push.destinationId === destinationId,
    );
  }

  #requestOf(streamName: string, { id, name, order }: SavedDestination, change: OrderChange): StartRequest {
    if (!order)
      throw new GatewayError(
        'INVALID_REQUEST',
        `The saved destination ${JSON.stringify(name)} cannot be decrypted with the present state_key. Save its key again.`,
      );
    return { ...this.#options.parse({ ...order, ...change }), streamName, destinationId: id };
  }
}

export interface PublishStartsOptions {
  readonly registry: StreamRegistry;
  readonly saved: SavedDestinations;
  readonly pushes: SavedPushes;
  readonly control: TransponderControl;
  /** Whether the name of a stream fits a pattern. */
  readonly matches: (pattern: string, name: string) => boolean;
  readonly logger: Logger;
}

/** Starts the groups that are tied to a stream whenever it is published. Returns a function that ends this. */
export function startGroupsOnPublish(options: PublishStartsOptions): () => void {
  const { registry, saved, pushes, control, matches, logger } = options;
  const startAll = async ({ name: stream }: LiveStream): Promise<void> => {
    const groups = (await saved.groups()).filter(({ onPublish }) => onPublish.some((each) => matches(each, stream)));
    for (const { id: group } of groups)
      for (const { request, push, destinationId } of await pushes.start(await pushes.members(stream, group))) {
        if (!(push instanceof GatewayError) || push.code === 'TRANSPONDER_EXISTS') continue;
        // No client waits for an answer, so the failure goes into the history.
        if (!(request instanceof GatewayError)) control.refuse(request, push);
        else
          logger.warn({ stream, group, destinationId, code: push.code, reason: push.message }, 'push of group refused');
      }
  };
  const onStarted = (stream: LiveStream): void =>
    inBackground(
      startAll(stream).catch((thrown: unknown) => {
        const { code, message } = toGatewayError(thrown);
        logger.error({ stream: stream.name, code, reason: message }, 'groups could not be started with their stream');
      }),
    );
  registry.on('started', onStarted);
  return () => void registry.off('started', onStarted);
}
