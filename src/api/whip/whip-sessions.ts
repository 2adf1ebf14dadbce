import { GatewayError } from '../../errors.ts';

/** A session with a URL of its own. */
interface Session {
  /** Idempotent. */
  close(reason: GatewayError): void;
}

/** Sessions by id. Ids are random and cannot be guessed: they authorise a client. */
export class SessionStore<S extends Session> {
  readonly #sessions = new Map<string, { readonly name: string; readonly session: S }>();

  get size(): number {
    return this.#sessions.size;
  }

  /** @param name in its URL: of the stream as the client asked for it */
  add(id: string, name: string, session: S): void {
    this.#sessions.set(id, { name, session });
  }

  delete(id: string): void {
    this.#sessions.delete(id);
  }

  /** @throws {GatewayError} SESSION_NOT_FOUND */
  get(params: unknown): S {
    const { stream, id } = params as { readonly stream: string; readonly id: string };
    const found = this.#sessions.get(id);
    if (found?.name === stream) return found.session;
    throw new GatewayError(
      'SESSION_NOT_FOUND',
      'There is no such session: it has ended, or the URL is not the one that Location named.',
    );
  }

  close(reason: GatewayError): void {
    for (const { session } of [...this.#sessions.values()]) session.close(reason);
  }
}
