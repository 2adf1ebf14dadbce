import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Authorizer, Principal } from '../../access/authorizer.ts';
import { forbidden, matchesName } from '../../access/rights.ts';
import { GatewayError } from '../../errors.ts';
import { hostOfRtmpUrl } from '../../net/destination.ts';
import type { Logger } from '../../observe/logger.ts';
import type {
  DestinationGroup,
  NewDestination,
  ParseOrder,
  SavedDestination,
  SavedDestinations,
  SavedOrder,
} from '../../outputs/push/saved/saved-destinations.ts';
import { principalOf, requireAllStreams } from '../authorize.ts';
import { readBodies } from '../wcs/body-reader.ts';
import { parseBody } from '../wcs/parse-body.ts';
import {
  DestinationChangeSchema,
  GroupChangeSchema,
  NewDestinationSchema,
  NewGroupSchema,
  SavedDestinationSchema,
  type DestinationView,
} from './destination-schemas.ts';

export interface DestinationRoutesOptions {
  readonly saved: SavedDestinations;
  readonly parseOrder: ParseOrder;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

const READ = { config: { action: 'read' } } as const;
/** Every push to a saved destination is concerned: only clients of all streams may change them. */
const CHANGE = { config: { action: 'push', resourceInBody: true }, preHandler: requireAllStreams } as const;

/** Saved destinations and groups of them. To be registered below `/api/v1`. */
export const destinationRoutes =
  ({ saved, parseOrder, authorizer, logger }: DestinationRoutesOptions): FastifyPluginAsync =>
  async (app) => {
    const { read } = readBodies(app, logger);
    const idIn = ({ params }: FastifyRequest): string => (params as { readonly id: string }).id;

    /** @throws {GatewayError} FORBIDDEN for hosts that the client may not push to */
    async function authorizeHosts(request: FastifyRequest, order: SavedOrder): Promise<void> {
      const { rtmpUrl, backupUrl } = parseOrder(order);
      for (const url of [rtmpUrl, ...(backupUrl === undefined ? [] : [backupUrl])])
        await authorizer.authorize(principalOf(request), 'push', { destination: hostOfRtmpUrl(url) });
    }
    async function view(destination: SavedDestination): Promise<DestinationView> {
      return viewOf(destination, await groupsOf(), parseOrder);
    }
    const groupsOf = () => saved.groups();

    app.get('/destinations', READ, async (request) => {
      const groups = await groupsOf();
      const visible = (await saved.list()).filter((each) => maySee(principalOf(request), each));
      return visible.map((each) => viewOf(each, groups, parseOrder));
    });
    app.post('/destinations', CHANGE, async (request, reply) => {
      const { id, ...body } = read(NewDestinationSchema, request, reply);
      const created = newDestination(body);
      await authorizeHosts(request, created.order);
      return reply.code(201).send(await view(await saved.create(created, id)));
    });
    app.get('/destinations/:id', READ, async (request) => {
      const found = await saved.get(idIn(request));
      if (!maySee(principalOf(request), found)) throw notAllowed();
      return view(found);
    });
    app.patch('/destinations/:id', CHANGE, async (request, reply) => {
      const change = read(DestinationChangeSchema, request, reply);
      const removed = Object.entries((request.body ?? {}) as object).flatMap(([key, value]) =>
        value === null ? [key] : [],
      );
      // Before the change, because the check of the rights is asynchronous.
      await authorizeHosts(request, merged(await saved.get(idIn(request)), change, removed).order);
      return view(await saved.change(idIn(request), (before) => merged(before, change, removed)));
    });
    app.delete('/destinations/:id', CHANGE, async (request, reply) => {
      await saved.delete(idIn(request));
      return reply.code(204).send();
    });

    /** Those of which the client may see all destinations. */
    async function visible(request: FastifyRequest, groups: readonly DestinationGroup[]): Promise<DestinationGroup[]> {
      const principal = principalOf(request);
      if (!principal.streams) return [...groups];
      const seen = new Set((await saved.list()).filter((each) => maySee(principal, each)).map(({ id }) => id));
      return groups.filter(({ destinationIds }) => destinationIds.every((id) => seen.has(id)));
    }
    app.get('/destination-groups', READ, async (request) => visible(request, await groupsOf()));
    app.get('/destination-groups/:id', READ, async (request) => {
      const [found] = await visible(request, [await saved.group(idIn(request))]);
      if (!found) throw notAllowed();
      return found;
    });
    app.post('/destination-groups', CHANGE, async (request, reply) => {
      const { id, name, destinationIds, onPublish = [] } = read(NewGroupSchema, request, reply);
      return reply.code(201).send(await saved.createGroup({ name, destinationIds, onPublish }, id));
    });
    app.patch('/destination-groups/:id', CHANGE, async (request, reply) =>
      saved.changeGroup(idIn(request), defined(read(GroupChangeSchema, request, reply))),
    );
    app.delete('/destination-groups/:id', CHANGE, async (request, reply) => {
      await saved.deleteGroup(idIn(request));
      return reply.code(204).send();
    });
  };

/** Whether a client may use a saved destination for a stream: its own rights to the stream and the host come besides. */
export function checkSavedUse({ streams }: Principal, { name, allowStreams }: SavedDestination, stream: string): void {
  if (streams && !allowStreams.some((pattern) => matchesName(pattern, stream)))
    throw forbidden('push', `they are limited to certain streams, and ${JSON.stringify(name)} does not allow this one`);
}

const notAllowed = (): GatewayError =>
  forbidden('read', 'they are limited to certain streams, which the destination does not allow');

const maySee = ({ streams }: Principal, { allowStreams }: SavedDestination): boolean =>
  !streams || allowStreams.some((allowed) => streams.some((one) => matchesName(allowed, one) || one === '*'));

const newDestination = ({
  name,
  allowStreams = [],
  ...order
}: SavedOrder & { readonly name: string; readonly allowStreams?: readonly string[] | undefined }): NewDestination => ({
  name,
  allowStreams,
  order: defined(order),
});

/** The fields that say where a push goes. A key stays with the server that it was saved for. */
const TARGETS = {
  rtmpUrl: ['platform', 'streamKey', 'backup'],
  platform: ['rtmpUrl', 'backupUrl', 'rtmpTransponderFullUrl', 'streamKey'],
} as const;

function merged(
  { name, allowStreams, order }: SavedDestination,
  change: Readonly<Record<string, unknown>>,
  removed: readonly string[],
): NewDestination {
  const base: Record<string, unknown> = { name, allowStreams, ...order };
  for (const field of removed) delete base[field];
  for (const [field, others] of Object.entries(TARGETS))
    if (change[field] !== undefined && change[field] !== base[field]) for (const other of others) delete base[other];
  return newDestination(parseBody(SavedDestinationSchema, { ...base, ...defined(change) }).value);
}

const defined = <T extends object>(object: T) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };

/** Long enough that four characters of it tell keys apart without giving one away. */
const HINTED_KEY_LENGTH = 16;

function viewOf(
  { id, name, allowStreams, createdAt, changedAt, order }: SavedDestination,
  groups: readonly { readonly id: string; readonly destinationIds: readonly string[] }[],
  parseOrder: ParseOrder,
): DestinationView {
  const common = {
    ...{ id, name, allowStreams, createdAt, changedAt },
    groups: groups.filter(({ destinationIds }) => destinationIds.includes(id)).map((group) => group.id),
  };
  if (!order)
    return {
      ...common,
      destination: '',
      problem: 'It was saved with another state_key and cannot be decrypted. Save its URL or its stream key again.',
    };
  const { rtmpUrl: _, backupUrl: __, streamKey, ...shown } = order;
  const key = typeof streamKey === 'string' && streamKey.length >= HINTED_KEY_LENGTH ? streamKey : undefined;
  return { ...shown, ...common, ...urlsOf(order, parseOrder), ...(key && { keyHint: `…${key.slice(-4)}` }) };
}

function urlsOf(order: SavedOrder, parseOrder: ParseOrder) {
  try {
    const { rtmpUrl, backupUrl } = parseOrder(order);
    const backup = backupUrl === undefined ? undefined : hostOfRtmpUrl(backupUrl).redacted;
    return {
      destination: hostOfRtmpUrl(rtmpUrl).redacted,
      ...(backup !== undefined && { backupDestination: backup }),
    };
  } catch (error) {
    // For example a platform that this version does not know any more.
    return { destination: '', problem: error instanceof GatewayError ? error.message : 'It is not valid any more.' };
  }
}
