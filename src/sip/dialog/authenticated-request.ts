import { answerChallenge, chooseChallenge, NonceCounts, type SipCredentials } from '../digest.ts';
import type { SipRequest, SipResponse } from '../message/message.ts';
import type { ClientTransaction } from '../transaction/client-transaction.ts';
import type { ClientHandlers } from '../transaction/client-transaction.ts';
import type { TransactionLayer } from '../transaction/transaction-layer.ts';
import type { Flow } from '../transport/flow.ts';

/** Headers of credentials, by their names. */
export type AuthHeaders = Readonly<Partial<Record<'authorization' | 'proxy-authorization', string>>>;

export interface SentRequest {
  /** The last request: each answer to a challenge is a new one. */
  readonly request: SipRequest;
  readonly transaction: ClientTransaction;
  readonly auth: AuthHeaders;
}

export interface SenderHandlers extends ClientHandlers {
  /** A challenge that is answered here; {@link ClientHandlers.response} does not get it. */
  challenged?(response: SipResponse): void;
}

/** Sends requests, and answers the challenges of servers: one for each realm, and once more a stale one. */
export class RequestSender {
  readonly #layer: TransactionLayer;
  readonly #credentials: SipCredentials | undefined;
  readonly #counts = new NonceCounts();

  constructor(layer: TransactionLayer, credentials: SipCredentials | undefined) {
    this.#layer = layer;
    this.#credentials = credentials;
  }

  /** @param build makes a new request, with the next CSeq */
  send(build: (auth: AuthHeaders) => SipRequest, flow: () => Flow, handlers: SenderHandlers): SentRequest {
    const tries = new Map<string, number>();
    let request: SipRequest;
    let auth: AuthHeaders = {};
    let handle: { readonly current: ClientTransaction };
    const go = (): void => {
      request = build(auth);
      handle = this.#layer.request(request, flow(), {
        failed: handlers.failed,
        response: (response) => {
          const answer = this.#answer(request, response, tries);
          if (!answer) return handlers.response(response);
          handlers.challenged?.(response);
          auth = { ...auth, ...answer };
          go();
        },
      });
    };
    go();
    return {
      get request() {
        return request;
      },
      get transaction() {
        return handle.current;
      },
      get auth() {
        return auth;
      },
    };
  }

  #answer(request: SipRequest, response: SipResponse, tries: Map<string, number>): AuthHeaders | undefined {
    const { status } = response;
    if ((status !== 401 && status !== 407) || !this.#credentials) return undefined;
    const challenge = chooseChallenge(response.all(status === 401 ? 'www-authenticate' : 'proxy-authenticate'));
    if (!challenge) return undefined;
    const key = `${status} ${challenge.realm}`;
    const tried = tries.get(key) ?? 0;
    if (tried > (challenge.stale ? 1 : 0)) return undefined;
    tries.set(key, tried + 1);
    const { method, uri } = request;
    const value = answerChallenge(challenge, this.#credentials, { method, uri, counts: this.#counts });
    return { [status === 401 ? 'authorization' : 'proxy-authorization']: value };
  }
}
