import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { boundedRequest, type BoundedAnswer } from '../net/bounded-request.ts';
import type { DestinationPolicy } from '../net/destination-policy.ts';
import type { Logger } from '../observe/logger.ts';
import { ALL_ACTIONS, type AccessProvider, type Action, type Credentials, type Door } from './authorizer.ts';
import type { Grant, Principal, Resource } from './authorizer.ts';

export interface CalloutOptions {
  readonly url: string;
  readonly timeoutMs: number;
  /** Decides which addresses of the host may be connected to. */
  readonly policy: DestinationPolicy;
  readonly logger: Logger;
}

/** Bytes of an answer. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Decisions that are cached, and the longest time for one. */
const MAX_CACHED = 10_000;
const MAX_CACHE_MS = 3_600_000;
/** Characters of a `reason` that are shown to the client. */
const MAX_REASON_LENGTH = 200;

const AllowSchema = z.object({
  id: z.string().max(256).optional(),
  maxDuration: z.number().positive().max(31_536_000).optional(),
  rename: z.unknown().optional(),
  pushes: z.unknown().optional(),
});
const DenySchema = z.object({ reason: z.string() });

/** The names of the doors in the body of a callout. */
const PROTOCOLS: Readonly<Record<Door, string>> = {
  wcs: 'wcs',
  whip: 'whip',
  whep: 'whep',
  red5: 'red5',
  rest: 'rest',
  console: 'rest',
  metrics: 'rest',
  probe: 'rest',
};

type Decision =
  { readonly id?: string | undefined; readonly maxDurationS?: number | undefined } | { readonly refusal: GatewayError };

/** `auth_url`: asks an application server about each action. It decides about every client, also those without a credential. */
export class CalloutProvider implements AccessProvider {
  readonly #options: CalloutOptions;
  readonly #credentials = new WeakMap<Principal, Credentials>();
  readonly #cache = new Map<string, { readonly decision: Decision; readonly until: number }>();

  constructor(options: CalloutOptions) {
    this.#options = options;
  }

  async identify(credentials: Credentials): Promise<Principal> {
    const principal = { id: `auth_url:${fingerprint(credentials)}`, actions: ALL_ACTIONS };
    this.#credentials.set(principal, credentials);
    return principal;
  }

  async authorize(principal: Principal, action: Action, { stream, destination }: Resource): Promise<Grant> {
    const { door, token, username, password, ip, userAgent, query } = this.#credentials.get(principal)!;
    const body = JSON.stringify({
      action,
      stream,
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
    const { id, maxDurationS } = decision;
    this.#options.logger.debug({ action, streamName: stream, principal: id ?? principal.id }, 'allowed by auth_url');
    return maxDurationS === undefined ? {} : { endsAt: Date.now() + maxDurationS * 1000 };
  }

  async #decide(body: string): Promise<Decision> {
    const key = createHash('sha256').update(body).digest('base64url');
    const cached = this.#cache.get(key);
    if (cached && cached.until > Date.now()) return cached.decision;
    this.#cache.delete(key);
    const answer = await this.#ask(body);
    const decision = decisionOf(answer);
    const ageMs = maxAgeMs(answer.headers['cache-control']);
    if (ageMs > 0) {
      if (this.#cache.size >= MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!);
      this.#cache.set(key, { decision, until: Date.now() + ageMs });
    }
    return decision;
  }

  async #ask(body: string): Promise<BoundedAnswer> {
    const { timeoutMs, policy, logger } = this.#options;
    const url = new URL(this.#options.url);
    try {
      const host = url.hostname.replace(/^\[|\]$/g, '');
      const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
      const { addresses } = await policy.resolve({ host, port });
      const headers = { 'content-type': 'application/json', accept: 'application/json' };
      const answer = await boundedRequest({
        url,
        method: 'POST',
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        body,
        timeoutMs,
        maxBytes: MAX_ANSWER_BYTES,
        addresses,
      });
      if (!isDecision(answer)) throw new Error(`status ${answer.status}`);
      return answer;
    } catch (error) {
      logger.error({ host: url.host, reason: reasonOf(error) }, 'auth_url does not decide: access denied');
      throw new GatewayError(
        'ACCESS_UNAVAILABLE',
        'The application server (auth_url) does not answer, so access is denied. Try again later.',
        { cause: error },
      );
    }
  }
}

const isDecision = ({ status }: BoundedAnswer): boolean =>
  (status >= 200 && status < 300) || (status >= 400 && status < 500);

/** Errors of the policy are about pushes; their code says what is wrong here. */
const reasonOf = (error: unknown): string =>
  error instanceof GatewayError && error.code === 'DESTINATION_FORBIDDEN'
    ? 'its host has a private address: name it in destination_allow_networks'
    : (error as Error).message;

function decisionOf({ status, body }: BoundedAnswer): Decision {
  const json = parse(body);
  if (status >= 400) {
    const { data } = DenySchema.safeParse(json);
    const reason = data ? visible(data.reason) : 'it gives no reason';
    return { refusal: new GatewayError('FORBIDDEN', `The application server denies access: ${reason}`) };
  }
  const answer = AllowSchema.safeParse(json ?? {});
  if (!answer.success) return { refusal: unusable('Its answer is not valid') };
  const { id, maxDuration, rename, pushes } = answer.data;
  // Ignoring them would publish under another name, or not to the servers, that the application has decided.
  if (rename !== undefined || pushes !== undefined)
    return { refusal: unusable('This gateway does not implement "rename" and "pushes" of its answer') };
  return { id, maxDurationS: maxDuration };
}

const unusable = (what: string): GatewayError =>
  new GatewayError('ACCESS_UNAVAILABLE', `${what} (auth_url), so access is denied.`);

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** Control characters would break log lines. */
const visible = (text: string): string => text.replace(/\p{Cc}/gu, ' ').slice(0, MAX_REASON_LENGTH);

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
