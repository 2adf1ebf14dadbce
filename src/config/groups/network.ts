import { z } from 'zod';
import { address, iceServers, integer, networks, optionalAddress, pathPrefix, port } from '../fields.ts';

/** Addresses, ports and WebRTC media. */
export const network = {
  listen_ip: address.default('127.0.0.1'),
  'ws.port': port.default(8080),
  'wss.port': port.default(8443),
  'http.port': port.default(8081),
  'https.port': port.default(8444),
  /** Reverse proxies whose X-Forwarded-For names the client. */
  trust_proxy: networks.default([]),
  /** What a reverse proxy removes from the paths of requests. Trusted proxies may name another one. */
  path_prefix: pathPrefix.default(''),
  tls_cert: z.string().default(''),
  tls_key: z.string().default(''),
  /** The address or host name to which browsers send media. Empty: the bound address. */
  ip: z
    .string()
    .regex(/^[\w.:-]*$/, 'must be an address or a host name')
    .default(''),
  /** Empty: see `webrtc/media-addresses.ts`. */
  ip_local: optionalAddress.default(''),
  rtc_port: port.default(10000),
  rtc_workers: integer(1, 64).default(1),
  /** Milliseconds: see `runtime/pipe.ts`. */
  media_batch_ms: integer(0, 50).default(36),
  /** Announced to WHIP and WHEP clients; the gateway itself uses none. */
  ice_servers: iceServers.default([]),
};
