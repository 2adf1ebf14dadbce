import type { FastifyPluginAsync } from 'fastify';
import type { PlatformCatalogue, Platform } from '../../outputs/push/platforms/catalogue.ts';
import type { PlatformView } from '../openapi/platform-answers.ts';

/** The platforms that pushes can name. To be registered below `/api/v1`. */
export const platformRoutes =
  ({ platforms }: PlatformCatalogue): FastifyPluginAsync =>
  async (app) => {
    const views = platforms.map(viewOf);
    app.get('/platforms', { config: { action: 'read' } }, async () => views);
  };

function viewOf({ id, name, hosts, ingest, backup, codecs, rules, note, sources }: Platform): PlatformView {
  const from = ({ url, source }: { url: string; source: string }) => ({ url, source: sources[source]! });
  return {
    id,
    name,
    hosts: { patterns: hosts.patterns, source: sources[hosts.source]! },
    ...(ingest && { ingest: from(ingest) }),
    ...(backup && { backup: from(backup) }),
    ...(codecs && { codecs: { takes: codecs.takes, source: sources[codecs.source]! } }),
    rules: rules.map(({ from: source, ...rule }) => ({ ...rule, source })),
    ...(note !== undefined && { note }),
  };
}
