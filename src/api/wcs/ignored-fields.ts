import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../observe/logger.ts';

/** Names in the header and in the log. */
const MAX_NAMES = 10;
const MAX_NAME_LENGTH = 64;
/**
 * Combinations of route and names that are remembered, so that a client which repeats its request does not flood the
 * log.
 */
const MAX_REMEMBERED = 200;

/** Reports fields that the gateway does not know: names only, because a value may be a secret. */
export class IgnoredFields {
  readonly #logger: Logger;
  readonly #logged = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Names the fields in `X-Ignored-Fields`, and in the log the first time. */
  report(fields: readonly string[], { routeOptions: { url } }: FastifyRequest, reply: FastifyReply): void {
    if (fields.length === 0) return;
    const shown = fields.slice(0, MAX_NAMES).map(sanitise);
    const names = fields.length > MAX_NAMES ? [...shown, '...'] : shown;
    reply.header('X-Ignored-Fields', names.join(', '));
    const seen = `${url} ${names.join()}`;
    if (this.#logged.has(seen)) return;
    if (this.#logged.size >= MAX_REMEMBERED) this.#logged.clear();
    this.#logged.add(seen);
    this.#logger.warn({ route: url, fields: names }, 'ignored fields that this method does not know');
  }
}

const sanitise = (name: string): string => name.slice(0, MAX_NAME_LENGTH).replace(/[^\w.-]/g, '?');
