import { PageSockets, type PageSocketsOptions } from '../page-sockets.ts';
import { RoutedSession, type RoutingContext } from './routed-session.ts';

export type RoutingServer = PageSockets<RoutedSession>;
export type RoutingServerOptions = RoutingContext & PageSocketsOptions;

/**
 * Opens the WebSocket of a manager, to which pages connect as to a gateway.
 *
 * @throws {GatewayError} SETTINGS_INVALID when the port cannot be bound
 */
export function openRoutingServer(options: RoutingServerOptions): Promise<RoutingServer> {
  return PageSockets.listen(options, (socket, { headers, url }, ip) => {
    const path = url?.startsWith('/') ? url : '/';
    const { host, origin, 'user-agent': userAgent } = headers;
    return new RoutedSession(socket, options, { ip, path, host, origin, userAgent });
  });
}
