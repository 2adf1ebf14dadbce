import { GatewayError } from '../../errors.ts';

/** A session with a URL of its own. */
interface Session {
  readonly id: string;
  readonly streamName: string;
  /** Idempotent. */
  close(reason: GatewayError): void;
}

/** Sessions by id. Ids are random and cannot be guessed: they authorise a client. */
export class SessionStore<S extends Session> {
  readonly #sessions = new Map<string, S>();

  get size(): number {
    return this.#sessions.size;
  }

  add(session: S): void {
    this.#sessions.set(session.id, session);
  }

  delete(session: S): void {
    this.#sessions.delete(session.id);
  }

  /** @throws {GatewayError} SESSION_NOT_FOUND */
  get(params: unknown): S {
    const { stream, id } = params as { readonly stream: string; readonly id: string };
    const session = this.#sessions.get(id);
    if (session?.streamName === stream) return session;
    throw new GatewayError(
      'SESSION_NOT_FOUND',
      'There is no such session: it has ended, or the URL is not the one that Location named.',
    );
  }

  close(reason: GatewayError): void {
    for (const session of [...this.#sessions.values()]) session.close(reason);
  }
}
