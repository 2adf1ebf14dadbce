import { z } from 'zod';
import { toGatewayError } from '../../errors.ts';
import type { PlatformCatalogue } from '../../outputs/push/platforms/catalogue.ts';
import type { StandbyRequest, StartRequest } from '../../outputs/push/transponder-control.ts';
import { parseBody } from './parse-body.ts';
import { PushOrderSchema, StoredStartSchema } from './schemas.ts';
import { standbyRequest } from './standby-schemas.ts';

/** What completes requests for pushes. */
export interface StartContext {
  readonly platforms: PlatformCatalogue;
  /** What a request does not say about standby. */
  readonly standbyDefaults: StandbyRequest;
}

type Order = z.output<typeof PushOrderSchema>;
/** What was saved, as a push. */
export const savedOrder =
  (context: StartContext) =>
  (order: Readonly<Record<string, unknown>>): Omit<StartRequest, 'streamName'> =>
    startRequest(parseBody(PushOrderSchema, order).value, context);

type Resolved<Body extends Order> = Omit<Body, 'standby' | 'streamKey' | 'backup'> & Omit<StartRequest, 'streamName'>;

/**
 * What a body of `/push/startup` asks for: the URLs of the platform in place of its name and the key, and all of its
 * standby.
 *
 * @throws {GatewayError} INVALID_REQUEST for a platform that is not known
 */
export function startRequest<Body extends Order>(
  body: Body,
  { platforms, standbyDefaults }: StartContext,
): Resolved<Body> {
  const { standby, streamKey, backup, ...rest } = withoutZeros(body);
  const start = { ...rest, ...(standby !== undefined && { standby: standbyRequest(standby, standbyDefaults) }) };
  const { platform, rtmpUrl } = body;
  // The schema demands either the URL or both of the others.
  if (platform === undefined || streamKey === undefined) return { ...start, rtmpUrl: rtmpUrl! };
  const urls = platforms.urls({ platform, streamKey, backup });
  return { ...urls, ...start, rtmpUrl: urls.rtmpUrl, rtmpTransponderFullUrl: urls.rtmpTransponderFullUrl };
}

/** The schema of the pushes that application servers order. */
export const pushOrders = (context: StartContext): z.ZodType<Omit<StartRequest, 'streamName'>> =>
  PushOrderSchema.transform((order, issues) => {
    try {
      return startRequest(order, context);
    } catch (error) {
      issues.addIssue({ code: 'custom', message: toGatewayError(error).message, input: undefined });
      return z.NEVER;
    }
  });

/** Reads a request that an earlier run of the gateway has stored. */
export const storedRequest =
  (context: StartContext) =>
  (stored: unknown): StartRequest =>
    startRequest(StoredStartSchema.parse(stored), context);

/** 0 means "not set" for every number of a request. */
const withoutZeros = <T extends object>(request: T): T =>
  Object.fromEntries(Object.entries(request).filter(([, value]) => value !== 0)) as T;
