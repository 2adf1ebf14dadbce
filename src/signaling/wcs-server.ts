import type { IncomingMessage } from 'node:http';
import type { Authorizer } from '../access/authorizer.ts';
import { SettingsSchema } from '../config/schema.ts';
import type { Certificate } from '../net/certificate.ts';
import { FORWARDED_CLIENT_HEADER, type ForwardedClients } from '../net/forwarded-client.ts';
import type { Logger } from '../observe/logger.ts';
import type { ClientSessions } from '../sessions/client-sessions.ts';
import type { Players } from '../sessions/players.ts';
import type { Publications } from '../sessions/publications.ts';
import type { Rooms } from '../rooms/room-client.ts';
import type { LiveStream } from '../streams/live-stream.ts';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import type { OriginCheck } from './origin.ts';
import { PageSockets } from './page-sockets.ts';
import type { DataReceiver } from './session-data.ts';
import { wcsLimits, type WcsLimits } from './wcs-limits.ts';
import { WcsSession, type WcsClient } from './wcs-session.ts';

/** What every session works with. */
export interface WcsContext {
  readonly publications: Publications;
  readonly players: Players;
  readonly registry: StreamRegistry;
  readonly sessions: ClientSessions;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
  readonly limits: WcsLimits;
  /** Encodes the current frame of the stream as JPEG. */
  readonly takeSnapshot?: (stream: LiveStream) => Promise<Buffer>;
  /** Gets the data that pages send. Without it, data is refused. */
  readonly dataReceiver?: DataReceiver | undefined;
  /** Where clients meet. Without them, the Room API is refused. */
  readonly rooms?: Rooms | undefined;
  /** Which pages may connect. Without it, every page may. */
  readonly allowOrigin?: OriginCheck;
  /** Believes managers of the cluster whose client a connection is from. */
  readonly forwardedClients?: ForwardedClients | undefined;
  /** Sent to clients when they connect. */
  readonly version: string;
}

export interface WcsServerOptions extends Omit<WcsContext, 'limits'> {
  /** Shared by the listeners of a gateway. Default: those of the default settings. */
  readonly limits?: WcsLimits;
  /** Address bound. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** With one it is wss. */
  readonly certificate?: Certificate;
  /** Milliseconds in which a client must have sent its upgrade request. Default: 10 s. */
  readonly requestTimeoutMs?: number;
}

export type WcsServer = PageSockets<WcsSession>;

/**
 * Opens the WebSocket that the WCS Web SDK connects to. The owner of the registry ends the streams when it closes.
 *
 * @throws {GatewayError} SETTINGS_INVALID when the address or the port cannot be bound
 */
export function openWcsServer(options: WcsServerOptions): Promise<WcsServer> {
  const limits = options.limits ?? wcsLimits(SettingsSchema.parse({}));
  const context = { ...options, limits };
  const setting = options.certificate ? 'wss.port' : 'ws.port';
  return PageSockets.listen(
    { ...context, setting },
    (socket, request, address) => new WcsSession(socket, context, clientOf(request, address, context)),
  );
}

function clientOf({ headers, url }: IncomingMessage, ip: string, { forwardedClients }: WcsContext): WcsClient {
  const { token, ...query } = Object.fromEntries(new URLSearchParams(url?.split('?')[1] ?? ''));
  const viaManager = forwardedClients?.verify(headers[FORWARDED_CLIENT_HEADER]) !== undefined;
  return { ip, viaManager, host: headers.host, userAgent: headers['user-agent'], token, query };
}
