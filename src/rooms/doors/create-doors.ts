import type { Authorizer } from '../../access/authorizer.ts';
import { calloutPolicy } from '../../access/create-authorizer.ts';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { ConnectionLimit } from '../../net/connection-limit.ts';
import type { ForwardedClients } from '../../net/forwarded-client.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { closeAll } from '../../runtime/close-all.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import type { Rooms } from '../room-client.ts';
import { DataDoor } from './data-door.ts';
import { RpcCallout } from './rpc-callout.ts';
import { RtmpDoor } from './rtmp-door.ts';
import { WebSocketDoor } from './websocket-door.ts';

export interface RoomDoorsOptions {
  readonly settings: Settings;
  readonly rooms: Rooms;
  readonly authorizer: Authorizer;
  readonly registry: StreamRegistry;
  readonly connections: ConnectionLimit;
  /** Believes managers of the cluster whose client a connection is from. */
  readonly forwardedClients?: ForwardedClients | undefined;
  readonly allowOrigin: (origin: string | undefined) => boolean;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The doors of the rooms besides the WCS WebSocket. */
export interface RoomDoors {
  readonly webSocket: WebSocketDoor;
  readonly data: DataDoor;
  readonly rtmp: RtmpDoor | undefined;
  close(): Promise<void>;
}

/** Bytes of a frame or a message of a client. The rooms limit values further. */
const MAX_MESSAGE_BYTES = 256 * 1024;

/** @throws {GatewayError} SETTINGS_INVALID if rooms_rtmp_port cannot be bound */
export async function createRoomDoors(options: RoomDoorsOptions): Promise<RoomDoors> {
  const { settings, rooms, authorizer, registry, connections, forwardedClients, allowOrigin, metrics, logger } =
    options;
  const rpc = settings.rpc_url
    ? new RpcCallout({
        url: settings.rpc_url,
        timeoutMs: settings.rpc_timeout_ms,
        policy: calloutPolicy(settings),
        logger,
      })
    : undefined;
  const rate = { perSecond: settings.max_ws_messages_per_second, burst: settings.max_ws_message_burst };
  const maxQueuedBytes = Math.max(settings.max_ws_queued_kb * 1024, 2 * MAX_MESSAGE_BYTES);
  const webSocket = new WebSocketDoor({
    rooms,
    authorizer,
    rpc,
    announce: (name, message) => {
      const stream = registry.find(name);
      if (!stream) throw streamNotFound(name);
      stream.emit('message', message);
    },
    addresses: connections.addresses,
    forwardedClients,
    allowOrigin,
    maxFrameBytes: MAX_MESSAGE_BYTES,
    rate,
    maxQueuedBytes,
    logger,
  });
  const data = new DataDoor({ rooms, authorizer, rpc, rate, logger });
  const rtmp =
    settings.rooms_rtmp_port === ''
      ? undefined
      : await RtmpDoor.create({
          rooms,
          authorizer,
          rpc,
          host: settings.listen_ip,
          port: settings.rooms_rtmp_port,
          connections,
          maxMessageBytes: MAX_MESSAGE_BYTES,
          rate,
          maxQueuedBytes,
          logger,
        });
  if (rtmp) logger.info({ port: rtmp.port }, 'RTMP clients of rooms are accepted');
  metrics.labelledGauge(
    'gateway_rooms_connections',
    'Connections of clients of rooms, by their protocol: WebSockets of Red5 clients, RTMP, data channels.',
    'protocol',
    () => [
      ['websocket', webSocket.size],
      ['rtmp', rtmp?.size ?? 0],
      ['datachannel', data.size],
    ],
  );
  return {
    webSocket,
    data,
    rtmp,
    close: async () => {
      rpc?.close();
      await closeAll([webSocket, ...(rtmp ? [rtmp] : [])]);
    },
  };
}

const streamNotFound = (name: string): GatewayError =>
  new GatewayError('STREAM_NOT_FOUND', `The stream ${JSON.stringify(name)} is not published on this gateway.`);
