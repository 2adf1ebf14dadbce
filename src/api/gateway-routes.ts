import type { FastifyPluginAsync } from 'fastify';
import type { Settings } from '../config/schema.ts';
import type { Certificate } from '../net/certificate.ts';
import { httpConnectionLimit } from '../net/connection-limit.ts';
import { redirectOrigin } from '../outputs/record/upload/create-uploads.ts';
import type { Assembly } from '../runtime/assembly.ts';
import { headerCredentials, requireAction } from './authorize.ts';
import { consoleRoutes, type ConsoleRoutesOptions } from './console-routes.ts';
import { hlsRoutes, type HlsRoutesOptions } from './hls/hls-routes.ts';
import { HlsServer, type HlsServerOptions } from './hls/hls-server.ts';
import { whepRoutes, type WhepRoutesOptions } from './whep/whep-routes.ts';
import { whipRoutes, type WhipRoutesOptions } from './whip/whip-routes.ts';

type DoorParts = Omit<WhipRoutesOptions & WhepRoutesOptions & HlsRoutesOptions, 'settings' | 'shape'>;

export interface GatewayRoutesOptions extends DoorParts {
  readonly console: Pick<ConsoleRoutesOptions, 'wsPort' | 'wssPort' | 'embedded' | 'version'>;
}

/** The routes of a gateway besides REST and monitoring: the console, WHIP, WHEP, HLS. */
export const gatewayRoutes = (settings: Settings, options: GatewayRoutesOptions): FastifyPluginAsync[] => [
  consoleRoutes({
    ...options.console,
    restBase: '/rest-api',
    resumeWindowMs: settings.publisher_resume_window_ms,
    hasRooms: settings.rooms,
    hasCalls: settings.sip,
    recordingsOrigin: redirectOrigin(settings),
    isAllowed: requireAction(options.authorizer, 'console', 'play', headerCredentials, ({ params }) => ({
      stream: sourceName((params as { name: string }).name, settings.rtmp_transponder_stream_name_prefix),
    })),
  }),
  whipRoutes({ ...options, settings }),
  whepRoutes({ ...options, settings }),
  ...(settings.hls ? [hlsRoutes({ ...options, shape: 'own' })] : []),
];

/** The stream that is pushed to the embedded server under this name. */
const sourceName = (published: string, prefix: string): string =>
  published.startsWith(prefix) ? published.slice(prefix.length) : published;

/**
 * Opens HLS at the ports of WCS, if it is on.
 *
 * @throws {GatewayError} SETTINGS_INVALID when a port cannot be bound
 */
export async function openHls(
  settings: Settings,
  parts: Pick<HlsServerOptions, 'authorizer' | 'packagers' | 'allowOrigin' | 'logger'>,
  certificate: Certificate | undefined,
  assembly: Assembly,
): Promise<void> {
  if (!settings.hls) return;
  const server = { ...parts, settings, connections: httpConnectionLimit(settings) };
  assembly.add(await HlsServer.create({ ...server, key: 'hls.port' }));
  if (certificate) assembly.add(await HlsServer.create({ ...server, key: 'hls.https.port', certificate }));
}
