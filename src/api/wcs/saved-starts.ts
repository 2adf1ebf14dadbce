import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Authorizer } from '../../access/authorizer.ts';
import { GatewayError } from '../../errors.ts';
import { hostOfRtmpUrl, namingField } from '../../net/destination.ts';
import type { SavedPushes, GroupMember, MemberStart } from '../../outputs/push/saved/saved-pushes.ts';
import type { SavedDestination } from '../../outputs/push/saved/saved-destinations.ts';
import type { StartRequest } from '../../outputs/push/transponder-control.ts';
import { principalOf } from '../authorize.ts';
import { clientGone } from '../client-gone.ts';
import { checkSavedUse } from '../ops/destination-routes.ts';
import type { GroupCheckView, GroupStartView } from '../ops/destination-schemas.ts';
import type { StartSchema } from './schemas.ts';
import type { TransponderView } from '../../views/push-view.ts';

type StartBody = z.output<typeof StartSchema>;

export interface SavedStartsOptions {
  readonly pushes: SavedPushes;
  readonly authorizer: Authorizer;
  /** A push as the client may see it. */
  readonly show: (view: TransponderView) => TransponderView;
}

/** Whether a client may push the stream to all of its servers. @throws {GatewayError} FORBIDDEN */
export async function authorizePush(
  authorizer: Authorizer,
  request: FastifyRequest,
  { streamName: stream, rtmpUrl, backupUrl }: StartRequest,
): Promise<void> {
  const destinations = [hostOfRtmpUrl(rtmpUrl)];
  if (backupUrl !== undefined) destinations.push(namingField('backupUrl', () => hostOfRtmpUrl(backupUrl)));
  for (const destination of destinations)
    await authorizer.authorize(principalOf(request), 'push', { stream, destination });
}

/** `/push/startup` and `/push/check` with `destinationId` or `groupId`. */
export class SavedStarts {
  readonly #options: SavedStartsOptions;

  constructor(options: SavedStartsOptions) {
    this.#options = options;
  }

  /** The push to a saved destination that a body asks for. */
  async one(
    http: FastifyRequest,
    { streamName, destinationId, check: _, ...change }: StartBody,
  ): Promise<StartRequest> {
    const { destination, request } = await this.#options.pushes.find(streamName, destinationId!, sent(change));
    await this.#authorize(http, destination, request);
    return request;
  }

  async checkGroup(http: FastifyRequest, reply: FastifyReply, body: StartBody): Promise<GroupCheckView[]> {
    const checked = await this.#options.pushes.check(await this.#members(http, body), clientGone(reply));
    return checked.map(({ destinationId, name, verdicts }) => {
      const level = (['error', 'warning'] as const).find((each) => verdicts.some((one) => one.level === each)) ?? 'ok';
      return { destinationId, name, level, verdicts };
    });
  }

  /** @throws {GatewayError} of the first destination, if none was started and none runs */
  async startGroup(http: FastifyRequest, reply: FastifyReply, body: StartBody): Promise<GroupStartView[]> {
    const { pushes } = this.#options;
    const signal = clientGone(reply);
    const members = await this.#members(http, body);
    const started = await pushes.start(body.check === false ? members : await pushes.check(members, signal), {
      requestId: http.id,
      signal,
    });
    const failures = started.flatMap(({ name, push }) => (push instanceof GatewayError ? [{ name, push }] : []));
    if (started.length > 0 && failures.length === started.length)
      throw new GatewayError(
        failures[0]!.push.code,
        `No push of the group was started. ${failures.map(({ name, push }) => `${name}: ${push.message}`).join(' ')}`,
      );
    return started.map((each) => this.#view(each));
  }

  #members(http: FastifyRequest, { streamName, groupId, check: _, ...change }: StartBody): Promise<GroupMember[]> {
    const authorize = (destination: SavedDestination, request: StartRequest): Promise<void> =>
      this.#authorize(http, destination, request);
    return this.#options.pushes.members(streamName, groupId!, authorize, sent(change));
  }

  async #authorize(http: FastifyRequest, destination: SavedDestination, request: StartRequest): Promise<void> {
    checkSavedUse(principalOf(http), destination, request.streamName);
    await authorizePush(this.#options.authorizer, http, request);
  }

  #view({ destinationId, name, verdicts, push, wasRunning }: MemberStart): GroupStartView {
    const common = { destinationId, name, verdicts };
    if (push instanceof GatewayError) return { ...common, status: 'refused', code: push.code, reason: push.message };
    return { ...common, status: wasRunning ? 'running' : 'started', push: this.#options.show(push) };
  }
}

const sent = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
