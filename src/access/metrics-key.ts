import { GatewayError } from '../errors.ts';
import type { Secret } from '../net/secret.ts';
import type { AccessProvider, Credentials, Principal } from './authorizer.ts';
import { StaticKeyProvider, type StaticKeys } from './static-key.ts';

/**
 * `metrics_key`: guards `/metrics` and `/health`, and opens nothing else. The keys of REST open them too. No other provider
 * is asked, because without one every program of this machine would be let in.
 */
export class MetricsKeyProvider implements AccessProvider {
  readonly #metrics: StaticKeyProvider;
  readonly #rest: StaticKeyProvider;

  constructor(key: Secret, rest: StaticKeys) {
    this.#metrics = new StaticKeyProvider({ read: key });
    this.#rest = new StaticKeyProvider(rest);
  }

  /** @throws {GatewayError} UNAUTHORIZED */
  async identify(credentials: Credentials): Promise<Principal | undefined> {
    if (credentials.door !== 'metrics') return undefined;
    const known = await this.#metrics.identify(credentials);
    if (known) return { ...known, id: 'metrics_key' };
    const ofRest = await this.#rest.identify(credentials);
    if (ofRest) return ofRest;
    throw new GatewayError(
      'UNAUTHORIZED',
      'This path needs metrics_key or a REST key. Send it as "Authorization: Bearer …" or "X-Api-Key: …".',
    );
  }
}
