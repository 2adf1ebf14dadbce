import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { DestinationPolicy } from '../net/destination-policy.ts';
import type { Logger } from '../observe/logger.ts';
import { AllowedStreams } from './allowed-streams.ts';
import type { AccessProvider, Action, Credentials, Door, Grant, Principal, Resource } from './authorizer.ts';
import { Callout, calloutFailure, parseAnswer, undecided } from './callout.ts';

export interface RoundTripOptions {
  readonly validateUrl: URL;
  readonly invalidateUrl: URL;
  readonly timeoutMs: number;
  /** Decides which addresses of the host may be connected to. */
  readonly policy: DestinationPolicy;
  readonly logger: Logger;
  /** Milliseconds that {@link RoundTripProvider.close} gives to the server. */
  readonly closeWaitMs?: number;
}

const MAX_ANSWER_BYTES = 64 * 1024;
const CLOSE_WAIT_MS = 2000;
const DOORS: ReadonlySet<Door> = new Set(['wcs', 'whip', 'whep', 'red5']);
const ACTIONS: ReadonlySet<Action> = new Set(['publish', 'play', 'push', 'join']);

/** Red5 Pro's servers answer with a boolean or its name. `url` is arbitrary, and for server-side code of Red5 Pro. */
const AnswerSchema = z.object({ result: z.union([z.boolean(), z.string()]) });

/**
 * Red5 Pro's round trip: asks an application server when a client publishes or plays, and tells it when the stream of a
 * publisher has ended. Everything but a clear yes is a no.
 */
export class RoundTripProvider implements AccessProvider {
  readonly #options: RoundTripOptions;
  readonly #callout: Callout;
  readonly #credentials = new WeakMap<Principal, Credentials>();
  readonly #allowed = new AllowedStreams();
  readonly #invalidations = new Set<Promise<void>>();

  constructor(options: RoundTripOptions) {
    this.#options = options;
    this.#callout = new Callout({ ...options, maxBytes: MAX_ANSWER_BYTES });
  }

  async identify(credentials: Credentials): Promise<Principal | undefined> {
    const { door, token, username, password } = credentials;
    if (!DOORS.has(door) || !(token ?? username ?? password)) return undefined;
    const principal = { id: username === undefined ? 'roundtrip' : `roundtrip:${username}`, actions: ACTIONS };
    this.#credentials.set(principal, credentials);
    return principal;
  }

  async authorize(principal: Principal, action: Action, { stream, request }: Resource): Promise<Grant> {
    const { door, token, username, password, connectedAs = principal } = this.#credentials.get(principal)!;
    // A push belongs to a publication that was allowed, and the sessions of WHIP and WHEP have URLs that cannot be
    // guessed.
    if (action === 'push' || stream === undefined) return {};
    if (!request) {
      if (door === 'wcs') this.#allowed.check(connectedAs, stream);
      return {};
    }
    const body = JSON.stringify({
      username: username ?? '',
      password: password?.reveal() ?? '',
      token: token?.reveal() ?? '',
      type: action === 'publish' ? 'publisher' : 'subscriber',
      streamID: stream,
    });
    if (!(await this.#validate(body)))
      throw new GatewayError('FORBIDDEN', `The application server (roundtrip_host) denies the action "${action}".`);
    this.#allowed.add(connectedAs, stream);
    return action === 'publish' ? { release: () => this.#invalidate(body) } : {};
  }

  /** Gives the server a moment to take what is under way. Idempotent. */
  async close(): Promise<void> {
    const late = new AbortController();
    const { closeWaitMs = CLOSE_WAIT_MS } = this.#options;
    const wait = sleep(closeWaitMs, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#invalidations), wait]);
    late.abort();
    this.#callout.close();
  }

  async #validate(body: string): Promise<boolean> {
    const { validateUrl: url, logger } = this.#options;
    try {
      const answer = await this.#callout.post(url, body);
      if (answer.status !== 200) throw new Error(`status ${answer.status}`);
      const { data } = AnswerSchema.safeParse(parseAnswer(answer.body));
      if (!data) throw new Error('the answer has no result');
      return data.result === true || (typeof data.result === 'string' && data.result.toLowerCase() === 'true');
    } catch (error) {
      throw undecided('roundtrip_host', url, error, logger);
    }
  }

  #invalidate(body: string): void {
    const { invalidateUrl: url, logger } = this.#options;
    const sending = this.#callout
      .post(url, body)
      .then(({ status }) => {
        if (status !== 200) throw new Error(`status ${status}`);
      })
      .catch((error: unknown) =>
        logger.warn(
          { host: url.host, reason: calloutFailure(error) },
          'roundtrip_host was not told about the end of a publication',
        ),
      )
      .finally(() => this.#invalidations.delete(sending));
    this.#invalidations.add(sending);
  }
}
