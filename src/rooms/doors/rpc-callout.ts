import { Callout, calloutFailure, parseAnswer, visibleReason } from '../../access/callout.ts';
import { GatewayError } from '../../errors.ts';
import type { DestinationPolicy } from '../../net/destination-policy.ts';
import type { Logger } from '../../observe/logger.ts';

export interface RpcCalloutOptions {
  /** `rpc_url` */
  readonly url: string;
  readonly timeoutMs: number;
  readonly policy: DestinationPolicy;
  readonly logger: Logger;
}

/** The body of a call, as the application server gets it. */
export interface RpcCall {
  readonly method: string;
  readonly arguments: unknown;
  readonly client: Readonly<Record<string, unknown>>;
  readonly scope: string;
}

/** Bytes of an answer. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** Calls of all clients that run at the same time: a slow server must not tie up memory and sockets. */
const MAX_RUNNING = 256;

/** Passes calls of clients on to the application server of `rpc_url`. */
export class RpcCallout {
  readonly #url: URL;
  readonly #logger: Logger;
  readonly #callout: Callout;
  #running = 0;

  constructor({ url, logger, ...options }: RpcCalloutOptions) {
    this.#url = new URL(url);
    this.#logger = logger;
    this.#callout = new Callout({ ...options, maxBytes: MAX_ANSWER_BYTES });
  }

  /**
   * @returns the JSON of the answer; undefined for an empty one
   * @throws {GatewayError} FORBIDDEN if the server refuses the call, ACCESS_UNAVAILABLE if it does not answer,
   * LIMIT_REACHED
   */
  async call(call: RpcCall): Promise<unknown> {
    if (this.#running >= MAX_RUNNING) throw new GatewayError('LIMIT_REACHED', 'Too many calls run at the same time.');
    this.#running++;
    try {
      const { status, body } = await this.#callout.post(this.#url, JSON.stringify(call));
      if (status >= 200 && status < 300) return parseAnswer(body) ?? null;
      if (status >= 400 && status < 500) throw refusal(parseAnswer(body));
      throw new Error(`status ${status}`);
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'FORBIDDEN') throw error;
      this.#logger.error({ host: this.#url.host, reason: calloutFailure(error) }, 'rpc_url does not answer');
      throw new GatewayError(
        'ACCESS_UNAVAILABLE',
        'The application server (rpc_url) does not answer. Try again later.',
        {
          cause: error,
        },
      );
    } finally {
      this.#running--;
    }
  }

  /** Ends all calls. Idempotent. */
  close(): void {
    this.#callout.close();
  }
}

function refusal(answer: unknown): GatewayError {
  const { reason } = (typeof answer === 'object' && answer ? answer : {}) as { reason?: unknown };
  const why = typeof reason === 'string' ? visibleReason(reason) : 'it gives no reason';
  return new GatewayError('FORBIDDEN', `The application server refuses the call: ${why}`);
}
