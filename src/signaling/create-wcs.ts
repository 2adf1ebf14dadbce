import type { Settings } from '../config/schema.ts';
import type { Certificate } from '../net/certificate.ts';
import type { Assembly } from '../runtime/assembly.ts';
import { openWcsServer, type WcsContext, type WcsServer } from './wcs-server.ts';

/**
 * Opens the WebSockets of pages: `ws.port`, and `wss.port` with a certificate.
 *
 * @throws {GatewayError} SETTINGS_INVALID when a port cannot be bound
 */
export async function openWcs(
  { listen_ip: host, 'ws.port': wsPort, 'wss.port': wssPort }: Settings,
  context: WcsContext,
  certificate: Certificate | undefined,
  assembly: Assembly,
): Promise<{ readonly ws: WcsServer; readonly wss: WcsServer | undefined }> {
  const ws = assembly.add(await openWcsServer({ ...context, host, port: wsPort }));
  const wss = certificate && assembly.add(await openWcsServer({ ...context, host, port: wssPort, certificate }));
  return { ws, wss };
}
