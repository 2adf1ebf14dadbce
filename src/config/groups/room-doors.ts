import { flag, integer, optionalPort, serverUrl } from '../fields.ts';

/** How clients reach the rooms, besides the WebSockets. */
export const roomDoors = {
  /** Off: clients cannot send anything to each other. */
  rooms: flag.default(false),
  /** The listener of RTMP clients. Empty: off. */
  rooms_rtmp_port: optionalPort.prefault(''),
  /** The application server that answers calls of clients. */
  rpc_url: serverUrl.default(''),
  rpc_timeout_ms: integer(100, 60_000).default(5000),
};
