import type { ConnectionRequest, Credentials, StreamRequest } from '../authorizer.ts';

/** The bodies of WCS's REST hooks. */

export type HookBody = Readonly<Record<string, unknown>>;

/** A WebSocket connection, as far as hooks see it. */
export interface ObservedConnection {
  readonly sessionId: string;
  readonly appKey: string;
  readonly clientVersion: string;
  readonly clientOSVersion: string;
  readonly clientBrowserVersion: string;
  readonly mediaProviders: readonly string[];
}

export function connectBody(
  nodeId: string,
  { sessionId, fields }: ConnectionRequest,
  { token, ip }: Credentials,
): HookBody {
  return {
    ...fields,
    nodeId,
    appKey: fields['appKey'],
    sessionId,
    status: 'PENDING',
    custom: withCredentials(fields['custom'], { token: token?.reveal() }),
    clientAddress: ip,
  };
}

export function connectionStatusBody(nodeId: string, connection: ObservedConnection, status: string): HookBody {
  const { sessionId, appKey, clientVersion, clientOSVersion, clientBrowserVersion, mediaProviders } = connection;
  return {
    nodeId,
    appKey,
    sessionId,
    status,
    clientVersion,
    clientOSVersion,
    clientBrowserVersion,
    mediaProviders,
  };
}

export interface StreamState {
  readonly name: string;
  readonly published: boolean;
  readonly status: string;
  readonly info?: string | undefined;
}

export function streamBody(
  nodeId: string,
  request: StreamRequest,
  { name, published, status, info }: StreamState,
  custom: unknown = request.custom,
): HookBody {
  return {
    nodeId,
    appKey: request.appKey,
    sessionId: request.sessionId,
    mediaSessionId: request.mediaSessionId,
    name,
    published,
    hasVideo: request.hasVideo,
    hasAudio: request.hasAudio,
    status,
    ...(info !== undefined && { info }),
    sdp: withoutPasswords(request.offerSdp),
    record: request.record ?? false,
    width: 0,
    height: 0,
    bitrate: request.bitrate,
    quality: 0,
    mediaProvider: request.mediaProvider,
    ...(custom !== undefined && { custom }),
  };
}

/**
 * Clients other than WCS's, and `?token=` of a WebSocket, have no field for credentials in a hook: they are in
 * `custom`, where pages put theirs.
 */
export function withCredentials(custom: unknown, credentials: Readonly<Record<string, string | undefined>>): unknown {
  const given = Object.fromEntries(Object.entries(credentials).filter(([, value]) => value !== undefined));
  const isObject = custom === undefined || custom === null || (typeof custom === 'object' && !Array.isArray(custom));
  if (!isObject || Object.keys(given).length === 0) return custom;
  return { ...given, ...custom };
}

/** The password of ICE belongs to the client alone. */
const withoutPasswords = (sdp: string): string => sdp.replace(/^a=ice-pwd:.*(?:\r?\n|$)/gm, '');
