import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { BoundedAnswer } from '../net/bounded-request.ts';
import type { DestinationPolicy } from '../net/destination-policy.ts';
import type { Logger } from '../observe/logger.ts';
import type { AnswerSchemas } from './answer-schemas.ts';
import {
  ALL_ACTIONS,
  ROOM_RIGHTS,
  type AccessProvider,
  type Action,
  type Credentials,
  type Door,
} from './authorizer.ts';
import type { Grant, Principal, Resource } from './authorizer.ts';
import { Callout, parseAnswer, undecided, visibleReason } from './callout.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

export interface CalloutProviderOptions {
  readonly url: string;
  readonly timeoutMs: number;
  /** Decides which addresses of the host may be connected to. */
  readonly policy: DestinationPolicy;
  /** Without them an answer may not have `rename` and `pushes`. */
  readonly schemas?: AnswerSchemas | undefined;
  readonly logger: Logger;
}

/** Bytes of an answer. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Decisions that are cached, and the longest time for one. */
const MAX_CACHED = 10_000;
const MAX_CACHE_MS = 3_600_000;
/** Pushes of an answer. Further ones can be started by REST. */
const MAX_PUSHES = 32;

const DenySchema = z.object({ reason: z.string() });

/** The names of the doors in the body of a callout. */
const PROTOCOLS: Readonly<Record<Door, string>> = {
  wcs: 'wcs',
  whip: 'whip',
  whep: 'whep',
  hls: 'hls',
  red5: 'red5',
  rest: 'rest',
  rooms: 'rooms',
  sip: 'sip',
  console: 'rest',
  metrics: 'rest',
  probe: 'rest',
};

type Allowed = z.output<ReturnType<typeof answerSchema>>;
type Decision = Allowed | { readonly refusal: GatewayError };

/**
 * `auth_url`: asks an application server about each action. It decides about every client, also those without a
 * credential.
 */
export class CalloutProvider implements AccessProvider {
  readonly #options: CalloutProviderOptions;
  readonly #callout: Callout;
  readonly #answerSchema: ReturnType<typeof answerSchema>;
  readonly #credentials = new WeakMap<Principal, Credentials>();
  readonly #cache = new Map<string, { readonly decision: Decision; readonly untilMs: number }>();

  constructor(options: CalloutProviderOptions) {
    this.#options = options;
    this.#callout = new Callout({ ...options, maxBytes: MAX_ANSWER_BYTES });
    this.#answerSchema = answerSchema(options.schemas);
  }

  async identify(credentials: Credentials): Promise<Principal> {
    const principal = { id: `auth_url:${fingerprint(credentials)}`, actions: ALL_ACTIONS };
    this.#credentials.set(principal, credentials);
    return principal;
  }

  async authorize(principal: Principal, action: Action, { stream, scope, destination }: Resource): Promise<Grant> {
    const { door, token, username, password, ip, userAgent, query } = this.#credentials.get(principal)!;
    const body = JSON.stringify({
      action,
      stream,
      scope,
      destination: destination?.redacted,
      protocol: PROTOCOLS[door],
      ip,
      userAgent,
      token: token?.reveal(),
      username,
      password: password?.reveal(),
      query: withoutSecrets(query),
    });
    const decision = await this.#decide(body);
    if ('refusal' in decision) throw decision.refusal;
    const { id, maxDuration, rename, pushes, record, rooms } = decision;
    this.#options.logger.debug({ action, streamName: stream, principal: id ?? principal.id }, 'allowed by auth_url');
    return {
      ...(maxDuration !== undefined && { endsAt: wallClockMs() + maxDuration * 1000 }),
      ...(action === 'publish' && rename !== undefined && { streamName: rename }),
      ...(action === 'publish' && pushes !== undefined && { pushes }),
      ...(action === 'publish' && record && { record }),
      ...(action === 'join' && rooms && { rooms }),
    };
  }

  async close(): Promise<void> {
    this.#callout.close();
  }

  async #decide(body: string): Promise<Decision> {
    const key = createHash('sha256').update(body).digest('base64url');
    const cached = this.#cache.get(key);
    if (cached && cached.untilMs > performance.now()) return cached.decision;
    this.#cache.delete(key);
    const answer = await this.#ask(body);
    const decision = this.#decisionOf(answer);
    const ageMs = maxAgeMs(answer.headers['cache-control']);
    // An answer that is not valid decides nothing: the next one may be.
    const isInvalid = 'refusal' in decision && decision.refusal.code === 'ACCESS_UNAVAILABLE';
    if (ageMs > 0 && !isInvalid) {
      if (this.#cache.size >= MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!);
      this.#cache.set(key, { decision, untilMs: performance.now() + ageMs });
    }
    return decision;
  }

  async #ask(body: string): Promise<BoundedAnswer> {
    const { logger } = this.#options;
    const url = new URL(this.#options.url);
    try {
      const answer = await this.#callout.post(url, body);
      if (!isDecision(answer)) throw new Error(`status ${answer.status}`);
      return answer;
    } catch (error) {
      throw undecided('auth_url', url, error, logger);
    }
  }

  #decisionOf({ status, body }: BoundedAnswer): Decision {
    const json = parseAnswer(body);
    if (status >= 400) {
      const { data } = DenySchema.safeParse(json);
      const reason = data ? visibleReason(data.reason) : 'it gives no reason';
      return { refusal: new GatewayError('FORBIDDEN', `The application server denies access: ${reason}`) };
    }
    // Text that is no JSON may be an answer that was cut off, with its conditions.
    const answer = this.#answerSchema.safeParse(body.trim() === '' ? {} : json);
    if (answer.success) return answer.data;
    const { path, message } = answer.error.issues[0]!;
    const field = path.map(String).join('.');
    this.#options.logger.error({ field, reason: message }, 'the answer of auth_url is not valid: access denied');
    return {
      refusal: new GatewayError(
        'ACCESS_UNAVAILABLE',
        `The answer of the application server (auth_url) is not valid${field && `: ${field}`}, so access is denied.`,
      ),
    };
  }
}

const isDecision = ({ status }: BoundedAnswer): boolean =>
  (status >= 200 && status < 300) || (status >= 400 && status < 500);

/**
 * Unknown fields are ignored. `rename` and `pushes` must be valid: to ignore them would publish under the wrong name, or
 * to the wrong servers.
 */
const answerSchema = (schemas: AnswerSchemas | undefined) =>
  z.object({
    id: z.string().max(256).optional(),
    maxDuration: z.number().positive().max(31_536_000).optional(),
    rename: schemas ? schemas.streamName.optional() : z.undefined().optional(),
    record: z.boolean().optional(),
    rooms: z.array(z.enum(ROOM_RIGHTS)).min(1).optional(),
    pushes: schemas ? z.array(schemas.push).max(MAX_PUSHES).optional() : z.undefined().optional(),
  });

/** RFC 9111; 0 without a usable max-age. */
function maxAgeMs(header: string | undefined): number {
  if (header === undefined || /\bno-(?:store|cache)\b/i.test(header)) return 0;
  const seconds = Number(/(?:^|[,\s])max-age=(\d{1,9})/i.exec(header)?.[1] ?? 0);
  return Math.min(seconds * 1000, MAX_CACHE_MS);
}

/** The credentials are fields of their own, and `rtmpUrl` contains stream keys. */
function withoutSecrets(query: Credentials['query'] = {}): object {
  const { token, username, password, rtmpUrl, ...others } = query;
  return others;
}

/** Tells clients apart without their secrets. */
const fingerprint = ({ token, username, password, ip }: Credentials): string =>
  createHash('sha256')
    .update(JSON.stringify([token?.reveal(), username, password?.reveal(), token || password ? '' : ip]))
    .digest('base64url')
    .slice(0, 16);
