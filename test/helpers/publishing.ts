import type { Authorizer } from '../../src/access/authorizer.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { Players } from '../../src/sessions/players.ts';
import { Publications, type PublicationsOptions } from '../../src/sessions/publications.ts';
import { LocalDirectory } from '../../src/streams/directory.ts';

/** Allows everything. */
export const openAuthorizer: Authorizer = {
  identify: async () => ({ id: 'anonymous', actions: new Set(['publish', 'play', 'push'] as const) }),
  authorize: async () => ({}),
};

type Parts = Pick<PublicationsOptions, 'pool' | 'registry' | 'pushes'>;

/** Publications and players of a gateway that runs alone and is never overloaded. */
export function createPublishing(
  { pool, registry, pushes }: Parts,
  { maxPlayers = 100, ...more }: Partial<PublicationsOptions> & { readonly maxPlayers?: number } = {},
): { readonly publications: Publications; readonly players: Players } {
  const publications = new Publications({
    pool,
    registry,
    pushes,
    directory: new LocalDirectory(),
    admission: { check: () => undefined },
    logger: silentLogger,
    ...more,
  });
  return { publications, players: new Players({ registry, maxPlayers }) };
}
