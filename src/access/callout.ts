import { GatewayError } from '../errors.ts';
import { boundedRequest, type BoundedAnswer } from '../net/bounded-request.ts';
import type { DestinationPolicy } from '../net/destination-policy.ts';
import type { Logger } from '../observe/logger.ts';

export interface CalloutOptions {
  readonly timeoutMs: number;
  /** Of an answer. */
  readonly maxBytes: number;
  /** Decides which addresses of the host may be connected to. */
  readonly policy: DestinationPolicy;
}

/**
 * Posts JSON to an application server. Redirects are not followed, and connections are made only to checked addresses.
 */
export class Callout {
  readonly #options: CalloutOptions;
  readonly #abort = new AbortController();

  constructor(options: CalloutOptions) {
    this.#options = options;
  }

  /** @throws {Error} without an answer; see {@link calloutFailure} */
  async post(url: URL, body: string, headers: Readonly<Record<string, string>> = {}): Promise<BoundedAnswer> {
    const { timeoutMs, maxBytes, policy } = this.#options;
    return boundedRequest({
      url,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        ...headers,
      },
      body,
      timeoutMs,
      maxBytes,
      policy,
      signal: this.#abort.signal,
    });
  }

  /** Ends all requests. Idempotent. */
  close(): void {
    this.#abort.abort();
  }
}

/** Why a request failed, for the log. Errors of the policy are about pushes; their code says what is wrong here. */
export const calloutFailure = (error: unknown): string =>
  error instanceof GatewayError && error.code === 'DESTINATION_FORBIDDEN'
    ? 'its host has a private address: name it in destination_allow_networks'
    : (error as Error).message;

/**
 * Logs that an application server has not decided.
 *
 * @param setting that names the server
 * @returns the error for the client, which is denied access
 */
export function undecided(setting: string, url: URL, error: unknown, logger: Logger): GatewayError {
  logger.error({ host: url.host, reason: calloutFailure(error) }, `${setting} does not decide: access denied`);
  return new GatewayError(
    'ACCESS_UNAVAILABLE',
    `The application server (${setting}) does not answer, so access is denied. Try again later.`,
    { cause: error },
  );
}

/** @returns undefined if the text is empty or not JSON */
export function parseAnswer(text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** Characters of a reason that are shown to the client. */
const MAX_REASON_LENGTH = 200;

/** A reason of an application server. Control characters would break log lines. */
export const visibleReason = (text: string): string => text.replace(/\p{Cc}/gu, ' ').slice(0, MAX_REASON_LENGTH);
