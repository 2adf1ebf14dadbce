import { toGatewayError } from '../../errors.ts';
import { redirect, type Destination } from '../../net/destination.ts';
import type { ResolvedDestination } from '../../net/destination-policy.ts';
import type { Logger } from '../../observe/logger.ts';
import type { ReconnectRequest } from '../../rtmp/reconnect-watch.ts';
import { RequestBudget } from './request-budget.ts';

/** A place to connect to, and the addresses that may be used. */
export interface Relocation extends ResolvedDestination {
  readonly place: Destination;
}

/** What a server has asked for: one request at a time, not too often, and only to places that may be pushed to. */
export class ReconnectRequests {
  readonly #resolve: (destination: Destination) => Promise<ResolvedDestination>;
  readonly #logger: Logger;
  readonly #budget = new RequestBudget();
  #pending: ReconnectRequest | undefined;

  constructor(resolve: (destination: Destination) => Promise<ResolvedDestination>, logger: Logger) {
    this.#resolve = resolve;
    this.#logger = logger;
  }

  /** The latest request counts. */
  receive(request: ReconnectRequest): void {
    this.#pending = request;
  }

  /** The connection of the request is over. */
  forget(): void {
    this.#pending = undefined;
  }

  /** Takes the request that waits, if it is to be carried out. */
  take(): ReconnectRequest | undefined {
    const request = this.#pending;
    this.#pending = undefined;
    const answer = request && this.#budget.take(performance.now());
    if (answer === 'exhausted') this.#logger.warn('the server asks to reconnect too often: ignored');
    return answer === 'granted' ? request : undefined;
  }

  /** Where the request leads; `undefined`, with a warning, if that may not be used. */
  async locate({ tcUrl, description }: ReconnectRequest, from: Destination): Promise<Relocation | undefined> {
    try {
      const place = tcUrl === undefined ? from : redirect(from, tcUrl);
      const { addresses } = await this.#resolve(place);
      this.#logger.info({ to: place.redacted, description }, 'the server asks to reconnect');
      return { place, addresses };
    } catch (error) {
      const { code, message } = toGatewayError(error);
      this.#logger.warn(
        { code, reason: message },
        'the server asks to reconnect to a place that cannot be used: the connection stays as it is',
      );
      return undefined;
    }
  }
}
